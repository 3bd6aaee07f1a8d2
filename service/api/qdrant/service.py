"""Endpoints of the service itself: its version, its health, and what it reports of itself."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from starlette.responses import PlainTextResponse, Response

from service.api.envelope import dumps
from service.api.qdrant.endpoints import Endpoints, Handler
from service.api.qdrant.requests import ApiRequest
from service.errors import StandaloneMode, Unsupported
from service.model.qdrant import QuotaStatus, VersionInfo

TITLE = "qdrant - vector search engine"

_HEALTH = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}
_NO_QUOTAS = {
    "config": {
        "enabled": False,
        "max_resident_memory_percent": None,
        "max_disk_usage_percent": None,
        "release_margin_percent": None,
    },
    "usage": {"resident_memory_percent": None, "disk_usage_percent": None},
}
_INSTANCE = str(uuid4())


def endpoints(version: str, *, health: bool) -> Endpoints:
    """Return the endpoints of a service of this version, with Qdrant's health checks or without."""
    service = Endpoints("Service")
    startup = datetime.now(UTC).isoformat()

    async def root(_: ApiRequest) -> Response:
        return _json({"title": TITLE, "version": version})

    async def telemetry(request: ApiRequest) -> Response:
        collections = await request.store.collections()
        return request.ok(
            {
                "id": _INSTANCE,
                "app": {"name": "qdrant", "version": version, "startup": startup},
                "collections": {"number_of_collections": len(collections)},
                "cluster": {"enabled": False},
            }
        )

    service.add("GET", "/", "root", root, result=VersionInfo)
    service.add("GET", "/telemetry", "telemetry", telemetry, result=dict[str, Any])
    service.add("GET", "/issues", "get_issues", _constant({"issues": []}), result=dict[str, Any])
    service.add("DELETE", "/issues", "clear_issues", _constant(result=True), result=bool)
    service.add("GET", "/quotas", "get_quotas", _constant(_NO_QUOTAS), result=QuotaStatus)
    service.add("PUT", "/quotas", "update_quotas", _no_quotas, result=bool)
    status = _constant({"status": "disabled"})
    service.add("GET", "/cluster", "cluster_status", status, result=dict[str, Any])
    service.add("GET", "/cluster/telemetry", "cluster_telemetry", _standalone)
    service.add("POST", "/cluster/recover", "recover_current_peer", _standalone)
    service.add("DELETE", "/cluster/peer/{peer_id}", "remove_peer", _standalone)
    if health:
        for path, text in _HEALTH.items():
            service.add("GET", path, path[1:], _text(text), result=str)
    return service


def _constant(result: object) -> Handler:
    async def answer(request: ApiRequest) -> Response:
        return request.ok(result)

    return answer


def _text(text: str) -> Handler:
    async def answer(_: ApiRequest) -> Response:
        return PlainTextResponse(text)

    return answer


async def _standalone(_: ApiRequest) -> Response:
    raise StandaloneMode


async def _no_quotas(_: ApiRequest) -> Response:
    raise Unsupported("quotas", "are not kept here: limit the disk and the memory of Postgres")


def _json(body: object) -> Response:
    return Response(dumps(body), HTTPStatus.OK, media_type="application/json")
