"""Endpoints about the shards of a collection, as one node with one shard answers them."""

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.requests import ApiRequest
from service.errors import CollectionNotFound, StandaloneMode, WrongInput
from service.model.qdrant import (
    CollectionClusterInfo,
    CountRequest,
    OptimizationsResponse,
    ShardKeysResponse,
)

endpoints = Endpoints("Distributed", "/collections/{collection_name}")

_PEER = 1
"""The id of a node without a cluster; any number would do."""
_ON_REQUEST = ("queued", "completed", "idle_segments")


@endpoints.on("GET /cluster", "collection_cluster_info", result=CollectionClusterInfo)
async def cluster_info(request: ApiRequest) -> Response:
    """Where the shards are: one, here."""
    points = await request.store.count(request.collection, CountRequest(exact=False))
    shard = {"shard_id": 0, "points_count": points, "state": "Active"}
    return request.ok(
        {
            "peer_id": _PEER,
            "shard_count": 1,
            "local_shards": [shard],
            "remote_shards": [],
            "shard_transfers": [],
        }
    )


@endpoints.on("GET /optimizations", "get_optimizations", result=OptimizationsResponse)
async def optimizations(request: ApiRequest) -> Response:
    """What the optimizer does: there is none, so nothing."""
    asked = [name.strip() for name in request.http.query_params.get("with", "").split(",")]
    unknown = next((name for name in asked if name and name not in _ON_REQUEST), None)
    if unknown is not None:
        reason = f"Unknown field in 'with' parameter: {unknown}"
        raise WrongInput(reason)
    await _require(request)
    summary = dict.fromkeys(
        ("queued_optimizations", "queued_segments", "queued_points", "idle_segments"), 0
    )
    lists: dict[str, list[object]] = {name: [] for name in _ON_REQUEST if name in asked}
    return request.ok({"summary": summary, "running": [], **lists})


@endpoints.on("GET /shards", "list_shard_keys", result=ShardKeysResponse)
async def shard_keys(request: ApiRequest) -> Response:
    """The keys of custom sharding: there are none."""
    await _require(request)
    return request.ok({"shard_keys": None})


async def _standalone(_: ApiRequest) -> Response:
    raise StandaloneMode


endpoints.add("PUT", "/shards", "create_shard_key", _standalone)
endpoints.add("POST", "/shards/delete", "delete_shard_key", _standalone)
endpoints.add("POST", "/cluster", "update_collection_cluster", _standalone)


async def _require(request: ApiRequest) -> None:
    if not await request.store.has_collection(request.collection):
        raise CollectionNotFound(request.collection)
