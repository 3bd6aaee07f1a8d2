"""The application that speaks Qdrant's REST API for one store."""

from collections.abc import Iterable
from time import perf_counter
from typing import Any
from urllib.parse import quote

import structlog
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.envelope import start_clock
from service.api.errors import answer
from service.api.parsing import MAX_BODY_BYTES
from service.api.qdrant import (
    cluster,
    collections,
    legacy_reads,
    matrix,
    reads,
    refused,
    service,
    writes,
)
from service.api.qdrant.document import Document
from service.api.qdrant.endpoints import Endpoint
from service.api.qdrant.parameters import check_collection_name, parse_parameters
from service.api.qdrant.requests import ApiRequest
from service.api.qdrant.routing import Routes
from service.ports import VectorStore

log = structlog.get_logger(__name__)

_COLLECTION = "collection_name"


def qdrant_app(
    store: VectorStore,
    *,
    version: str,
    health: bool = False,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> ASGIApp:
    """Return an application that answers from the store as Qdrant of this version would.

    ``health`` adds Qdrant's own health endpoints. A path that Qdrant does not have is answered 404 as Qdrant does, a
    body of more than ``max_body_bytes`` 413. Pages of other origins may call it, as they may call Qdrant.
    """
    endpoints = [
        *reads.endpoints.all,
        *writes.endpoints.all,
        *legacy_reads.endpoints.all,
        *matrix.endpoints.all,
        *collections.endpoints.all,
        *cluster.endpoints.all,
        *refused.endpoints.all,
        *service.endpoints(version, health=health).all,
    ]
    api = QdrantApi(store, endpoints, version=version, max_body_bytes=max_body_bytes)
    return OtherOrigins(api)


class OtherOrigins:
    """Lets pages of any origin call the API (ASGI); requests that name no origin go straight on."""

    def __init__(self, api: ASGIApp) -> None:
        self._api = api
        self._shared = CORSMiddleware(
            api, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        named = scope["type"] == "http" and b"origin" in dict(scope["headers"])
        await (self._shared if named else self._api)(scope, receive, send)


class QdrantApi:
    """Finds the endpoint of each request, checks what its URL says, and turns errors into answers (ASGI)."""

    def __init__(
        self,
        store: VectorStore,
        endpoints: Iterable[Endpoint],
        *,
        version: str,
        max_body_bytes: int,
    ) -> None:
        known = list(endpoints)
        self._document = Document(known, version=version)
        self._routes = Routes([*known, self._document.endpoint()])
        self._store = store
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        start_clock(scope, perf_counter())
        answering = False

        async def watch(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        request = Request(scope, receive)
        try:
            response = await self._answer(request)
            await response(scope, receive, watch)
        except ClientDisconnect:
            log.debug("client_gone", path=scope["path"])
        except Exception as error:
            if answering:
                raise
            await answer(request, error)(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        scope = request.scope
        raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        found = self._routes.find(scope["method"], raw.decode("latin-1"))
        if found is None:
            return Response(status_code=404)
        endpoint, names = found
        if _COLLECTION in names:
            is_new = endpoint.operation == "create_collection"
            check_collection_name(names[_COLLECTION], is_new=is_new)
        query = request.query_params if scope["query_string"] else {}
        parameters = parse_parameters(query, endpoint.parameters)
        return await endpoint.handle(
            ApiRequest(request, self._store, names, parameters, self._max_body_bytes)
        )


async def _live(receive: Receive, send: Send) -> None:
    """Answer the server's start and stop: there is nothing to prepare."""
    phase: dict[str, Any] = {"type": ""}
    while phase["type"] != "lifespan.shutdown":
        phase = dict(await receive())
        await send({"type": f"{phase['type']}.complete"})
