"""What vecferry answers for itself on the proxy's port: health, readiness, metrics."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Checks = Callable[[], Awaitable[dict[str, str | None]]]
"""Returns for every part that is needed now what is wrong with it, ``None`` when it answers."""

RefreshGauges = Callable[[], Awaitable[None]]


def own_app(registry: CollectorRegistry, checks: Checks, refresh_gauges: RefreshGauges) -> FastAPI:
    """Return the application; ``refresh_gauges`` is awaited before every scrape."""
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
        await refresh_gauges()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app
