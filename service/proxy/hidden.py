"""The register in Qdrant is ours: for a client there is no such collection."""

from collections.abc import Iterable

from starlette.requests import Request

from service.api.envelope import ok
from service.control.register import REGISTER
from service.errors import BadRequest, CollectionNotFound
from service.proxy.calls import Call, Kind
from service.proxy.exchange import Exchange


async def answer(exchange: Exchange, call: Call) -> None:
    """Answer a request to the register as Qdrant answers for a collection that it does not have."""
    if call.kind is Kind.CREATE:
        raise BadRequest(f"the collection name `{REGISTER}` is reserved")
    result: object
    if call.kind is Kind.DROP:
        result = False
    elif call.suffix == "exists":
        result = {"exists": False}
    else:
        raise CollectionNotFound(REGISTER)
    exchange.answered_by = "nobody"
    await ok(Request(exchange.scope), result)(exchange.scope, exchange.replay(), exchange.send)


def refuse(names: Iterable[str]) -> None:
    """Raise ``CollectionNotFound`` when the register is among these names."""
    if REGISTER in set(names):
        raise CollectionNotFound(REGISTER)
