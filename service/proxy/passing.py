"""The source answers: bytes through in both directions, streamed; sampled searches leave a copy behind."""

from collections.abc import Mapping

import orjson
from starlette.requests import ClientDisconnect

from service.errors import SourceUnavailable
from service.protocol.source_writes import Answer, Headers
from service.proxy.exchange import Exchange
from service.stores.qdrant.forward import Body, Forwarder, Passing


class Passer:
    """Forwards exchanges to the source; without a forwarder there is none."""

    def __init__(self, forwarder: Forwarder | None) -> None:
        self._optional = forwarder

    @property
    def _forwarder(self) -> Forwarder:
        if self._optional is None:
            reason = "is not configured"
            raise SourceUnavailable(reason, may_have_applied=False)
        return self._optional

    async def forward(self, exchange: Exchange, *, may_repeat: bool = False) -> None:
        """Answer an exchange from the source; ``may_repeat`` when asking twice is the same as asking once.

        Raises ``SourceUnavailable``, ``ClientDisconnect`` when the client's body broke off.
        """
        await self._forward(exchange, exchange.headers, None, may_repeat=may_repeat)

    async def forward_copied(self, exchange: Exchange) -> bytes:
        """As :meth:`forward` for a read, and return the answer's body, which is never compressed."""
        copy = bytearray()
        headers = [header for header in exchange.headers if header[0] != b"accept-encoding"]
        await self._forward(exchange, headers, copy, may_repeat=True)
        return bytes(copy)

    async def forward_without(self, exchange: Exchange, name: str) -> None:
        """Answer a list of collections from the source, without the one of this name."""
        exchange.answered_by = "source"
        answer = await self.send(
            exchange.method, exchange.path, query=exchange.query, headers=exchange.headers, body=b""
        )
        body = _without(answer.body, name) if name.encode() in answer.body else answer.body
        await exchange.answer(answer.status, answer.headers, body)

    async def _forward(
        self, exchange: Exchange, headers: Headers, copy: bytearray | None, *, may_repeat: bool
    ) -> None:
        exchange.answered_by = "source"
        body = await _body(exchange)
        sending = self._forwarder.send(
            exchange.method,
            exchange.target,
            headers,
            body,
            may_repeat=may_repeat and (body is None or isinstance(body, bytes)),
        )
        try:
            async with sending as passing:
                await _pass_back(exchange, passing, copy)
        except SourceUnavailable:
            if exchange.is_broken_off:
                # What looked like a failure of the source is the client's body that ended early.
                raise ClientDisconnect from None
            raise

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Headers,
        body: bytes,
    ) -> Answer:
        """Send a request of ours with the client's headers (``SendToSource``)."""
        answer = await self._forwarder.fetch(method, path, query=query, headers=headers, body=body)
        return Answer(*answer)


async def _pass_back(exchange: Exchange, passing: Passing, copy: bytearray | None) -> None:
    await exchange.send(
        {"type": "http.response.start", "status": passing.status, "headers": passing.headers}
    )
    is_over = False
    async for chunk in passing.chunks:
        if copy is not None:
            copy += chunk
        is_over = passing.is_at_end()
        await exchange.send({"type": "http.response.body", "body": chunk, "more_body": not is_over})
    if not is_over:
        await exchange.send({"type": "http.response.body", "body": b""})


def _without(body: bytes, name: str) -> bytes:
    """Return a list of collections without one; what is no such list stays as it is."""
    try:
        answer = orjson.loads(body)
        listed = answer["result"]["collections"]
        answer["result"]["collections"] = [each for each in listed if each["name"] != name]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body
    return orjson.dumps(answer)


async def _body(exchange: Exchange) -> Body:
    if not exchange.has_body:
        return None
    return await exchange.body() if exchange.is_small else exchange.stream()
