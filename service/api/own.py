"""What vecferry answers for itself on the proxy's port: health, readiness, metrics."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)

from service.errors import VecferryError

_log = structlog.get_logger(__name__)

_REFRESH_SECONDS = 1.0

Checks = Callable[[], Awaitable[dict[str, str | None]]]
"""Returns for every part that is needed now what is wrong with it, ``None`` when it answers."""

RefreshGauges = Callable[[], Awaitable[None]]


def own_app(registry: CollectorRegistry, checks: Checks, refresh_gauges: RefreshGauges) -> FastAPI:
    """Return the application; ``refresh_gauges`` is awaited before every scrape, if the database answers it."""
    # When each counter began would be a quarter of the answer, and nobody asks for it.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    @app.get("/livez")
    async def alive() -> PlainTextResponse:
        return PlainTextResponse("healthz check passed")

    @app.get("/readyz")
    async def ready() -> Response:
        failing = {part: reason for part, reason in (await checks()).items() if reason}
        if failing:
            return JSONResponse(failing, status_code=503)
        return PlainTextResponse("all shards are ready")

    @app.get("/metrics")
    async def metrics() -> Response:
        # Metrics matter most while the database does not answer.
        try:
            async with asyncio.timeout(_REFRESH_SECONDS):
                await refresh_gauges()
        except (VecferryError, TimeoutError) as error:
            _log.warning("gauges_not_refreshed", error=str(error) or "did not answer in time")
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
