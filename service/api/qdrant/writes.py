"""Routes that change points: one handler for every kind of operation, and the batch."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import ok
from service.api.qdrant.kinds import BATCH_ROUTE, WRITE_ROUTES, WriteKind
from service.api.qdrant.operations import Operations, parse_batch, parse_operation
from service.api.qdrant.requests import Body, Collection, Store, Wait
from service.api.rendering import update_json
from service.model.operations import UpdateResult
from service.ports import VectorStore

router = APIRouter(prefix="/collections/{collection}/points", tags=["Points"])


def _handler(kind: WriteKind) -> Callable[..., Awaitable[Response]]:
    async def write(
        request: Request, store: Store, collection: Collection, wait: Wait, body: Body
    ) -> Response:
        operations = parse_operation(kind, body)
        result = await _apply(store, collection, operations, wait=wait)
        return ok(request, update_json(result))

    return write


async def batch(
    request: Request, store: Store, collection: Collection, wait: Wait, body: Body
) -> Response:
    """Run operations in their order; the ones before a failure stay."""
    results = [
        await _apply(store, collection, operations, wait=wait) for operations in parse_batch(body)
    ]
    return ok(request, [update_json(result) for result in results])


async def _apply(
    store: VectorStore, collection: str, operations: Operations, *, wait: bool
) -> UpdateResult:
    """Apply the operations of one body and return what became of the last."""
    *before, last = operations
    for operation in before:
        await store.apply(collection, operation, wait=wait)
    return await store.apply(collection, last, wait=wait)


for (_method, _suffix), _kind in WRITE_ROUTES.items():
    router.add_api_route(_suffix, _handler(_kind), methods=[_method], name=_kind.value)
router.add_api_route(BATCH_ROUTE[1], batch, methods=[BATCH_ROUTE[0]])
