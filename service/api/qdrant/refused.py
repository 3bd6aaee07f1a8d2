"""Endpoints of Qdrant that have no meaning on another store: they are answered 501, and what to use instead."""

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.requests import ApiRequest
from service.errors import Unsupported

endpoints = Endpoints("Snapshots")

_INSTEAD = (
    "is about files in Qdrant's own format: back up and restore with pg_dump and pg_restore, "
    "or with a base backup of Postgres"
)
_COLLECTION = "/collections/{collection_name}/snapshots"
_SHARD = "/collections/{collection_name}/shards/{shard_id}"

_ROUTES = {
    "list_full_snapshots": ("GET", "/snapshots"),
    "create_full_snapshot": ("POST", "/snapshots"),
    "get_full_snapshot": ("GET", "/snapshots/{snapshot_name}"),
    "delete_full_snapshot": ("DELETE", "/snapshots/{snapshot_name}"),
    "list_snapshots": ("GET", _COLLECTION),
    "create_snapshot": ("POST", _COLLECTION),
    "get_snapshot": ("GET", f"{_COLLECTION}/{{snapshot_name}}"),
    "delete_snapshot": ("DELETE", f"{_COLLECTION}/{{snapshot_name}}"),
    "recover_from_snapshot": ("PUT", f"{_COLLECTION}/recover"),
    "recover_from_uploaded_snapshot": ("POST", f"{_COLLECTION}/upload"),
    "list_shard_snapshots": ("GET", f"{_SHARD}/snapshots"),
    "create_shard_snapshot": ("POST", f"{_SHARD}/snapshots"),
    "get_shard_snapshot": ("GET", f"{_SHARD}/snapshots/{{snapshot_name}}"),
    "delete_shard_snapshot": ("DELETE", f"{_SHARD}/snapshots/{{snapshot_name}}"),
    "recover_shard_from_snapshot": ("PUT", f"{_SHARD}/snapshots/recover"),
    "recover_shard_from_uploaded_snapshot": ("POST", f"{_SHARD}/snapshots/upload"),
    "stream_shard_snapshot": ("GET", f"{_SHARD}/snapshot"),
}


async def _refuse(request: ApiRequest) -> Response:
    what = f"{request.http.method} {request.http.url.path}"
    raise Unsupported(what, _INSTEAD)


for _operation, (_method, _path) in _ROUTES.items():
    endpoints.add(_method, _path, _operation, _refuse)
