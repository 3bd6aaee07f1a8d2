"""The application that speaks Qdrant's REST API for one store."""

from collections.abc import Awaitable, Callable
from time import perf_counter

import structlog
from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.envelope import dumps, start_clock
from service.api.errors import answer
from service.api.parsing import MAX_BODY_BYTES
from service.api.qdrant import collections, reads, writes
from service.errors import Unsupported, VecferryError
from service.ports import VectorStore

TITLE = "qdrant - vector search engine"

_HEALTH = {
    "/healthz": "healthz check passed",
    "/livez": "healthz check passed",
    "/readyz": "all shards are ready",
}

log = structlog.get_logger(__name__)


def qdrant_app(
    store: VectorStore,
    *,
    version: str,
    health: bool = False,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """Return an application that answers from the store as Qdrant of this version would.

    ``health`` adds Qdrant's own health endpoints. What is not routed is answered 501, a body of more than
    ``max_body_bytes`` 413.
    """
    app = FastAPI(title="Qdrant REST API", version=version, redirect_slashes=False)
    app.state.store = store
    app.state.max_body_bytes = max_body_bytes
    app.add_middleware(Edge)
    app.add_exception_handler(VecferryError, _on_error)
    app.add_exception_handler(HTTPException, _on_unrouted)
    app.include_router(_service_routes(version, health=health))
    app.include_router(collections.router)
    app.include_router(reads.router)
    app.include_router(writes.router)
    return app


class Edge:
    """Wraps every request: starts its clock, trims slashes, answers what nobody caught."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = scope["path"].rstrip("/") or "/"
        start_clock(scope, perf_counter())
        answering = False

        async def watch(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            log.debug("client_gone", path=scope["path"])
        except Exception as error:
            if answering:
                raise
            await answer(Request(scope), error)(scope, receive, send)


async def _on_error(request: Request, error: Exception) -> Response:
    return answer(request, error)


async def _on_unrouted(request: Request, error: Exception) -> Response:
    del error
    what = f"{request.method} {request.url.path}"
    return answer(request, Unsupported(what, "is not part of the API that is served here"))


def _service_routes(version: str, *, health: bool) -> APIRouter:
    router = APIRouter(tags=["Service"])

    @router.get("/")
    async def root() -> Response:
        body = {"title": TITLE, "version": version}
        return Response(dumps(body), media_type="application/json")

    if health:
        for path, text in _HEALTH.items():
            router.add_api_route(path, _health(text), methods=["GET"], name=path[1:])
    return router


def _health(text: str) -> Callable[[], Awaitable[Response]]:
    async def health() -> Response:
        return PlainTextResponse(text)

    return health
