"""Endpoints that change points: one handler for every kind of operation, and the batch."""

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints, Handler
from service.api.qdrant.kinds import BATCH_ROUTE, OPERATIONS, WRITE_ROUTES, WriteKind
from service.api.qdrant.operations import Operations, parse_batch, parse_operation
from service.api.qdrant.parameters import WRITE
from service.api.qdrant.requests import ApiRequest
from service.api.rendering import update_json
from service.model import qdrant
from service.model.operations import UpdateResult

endpoints = Endpoints("Points", "/collections/{collection_name}/points")

_BODIES = {
    WriteKind.UPSERT: qdrant.PointInsertOperations,
    WriteKind.DELETE: qdrant.PointsSelector,
    WriteKind.UPDATE_VECTORS: qdrant.UpdateVectors,
    WriteKind.DELETE_VECTORS: qdrant.DeleteVectors,
    WriteKind.SET_PAYLOAD: qdrant.SetPayload,
    WriteKind.OVERWRITE_PAYLOAD: qdrant.SetPayload,
    WriteKind.DELETE_PAYLOAD: qdrant.DeletePayload,
    WriteKind.CLEAR_PAYLOAD: qdrant.PointsSelector,
}


def _handler(kind: WriteKind) -> Handler:
    async def write(request: ApiRequest) -> Response:
        operations = parse_operation(kind, await request.json())
        return request.ok(update_json(await _apply(request, operations)))

    return write


async def batch(request: ApiRequest) -> Response:
    """Run operations in their order; the ones before a failure stay."""
    results = [
        await _apply(request, operations) for operations in parse_batch(await request.json())
    ]
    return request.ok([update_json(result) for result in results])


async def _apply(request: ApiRequest, operations: Operations) -> UpdateResult:
    """Apply the operations of one body and return what became of the last."""
    store, collection, wait = request.store, request.collection, request.parameters.wait
    *before, last = operations
    for operation in before:
        await store.apply(collection, operation, wait=wait)
    return await store.apply(collection, last, wait=wait)


for (_method, _suffix), _kind in WRITE_ROUTES.items():
    endpoints.add(
        _method,
        _suffix,
        OPERATIONS[_kind],
        _handler(_kind),
        body=_BODIES[_kind],
        result=qdrant.UpdateResult,
        parameters=WRITE,
    )
endpoints.add(
    *BATCH_ROUTE,
    "batch_update",
    batch,
    body=qdrant.UpdateOperations,
    result=list[qdrant.UpdateResult],
    parameters=WRITE,
)
