"""The control API: ``/v1/control/…``, for the CLI. It listens on loopback only and asks for the operator's key."""

import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.administration import Administration
from service.api.errors import status_of
from service.api.jobs import job_routes
from service.api.ledger import ledger_routes
from service.api.request_ids import RequestIds
from service.errors import VecferryError
from service.stages import Stage

PREFIX = "/v1/control"

_BEARER = "Bearer "


class StageRequest(BaseModel):
    """A wanted stage; ``percent`` belongs to ``ramp`` and to no other."""

    model_config = ConfigDict(extra="forbid")

    stage: Stage
    percent: int | None = Field(default=None, ge=0, le=100)


Name = Annotated[str, Path(min_length=1)]


def control_app(
    administration: Administration, *, operator_key: str, more: Sequence[APIRouter] = ()
) -> FastAPI:
    """Return the control API over an instance's administration, with ``more`` routes below ``PREFIX``."""

    def allowed(authorization: Annotated[str, Header()] = "") -> None:
        given = authorization.removeprefix(_BEARER)
        if not hmac.compare_digest(given.encode(), operator_key.encode()):
            raise HTTPException(401, "the operator's key is missing or wrong")

    app = FastAPI(
        title="vecferry control API",
        dependencies=[Depends(allowed)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(RequestIds)
    app.add_exception_handler(VecferryError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.include_router(ledger_routes(administration.ledger, PREFIX))
    for routes in (job_routes(administration.jobs, PREFIX), *more):
        app.include_router(routes)

    @app.get(PREFIX + "/status")
    async def status() -> dict[str, object]:
        return await administration.status()

    @app.get(PREFIX + "/collections")
    async def matching(pattern: Annotated[str, Query()] = "*") -> list[str]:
        return await administration.matching(pattern)

    @app.put(PREFIX + "/collections/{name}/stage")
    async def set_stage(name: Name, wanted: StageRequest) -> dict[str, object]:
        state = await administration.set_stage(
            name, wanted.stage, percent=_percent(wanted), actor="operator"
        )
        return {
            "name": name,
            "stage": str(state.stage),
            "percent": state.percent,
            "epoch": state.epoch,
        }

    return app


def _percent(wanted: StageRequest) -> int:
    if wanted.stage is not Stage.RAMP:
        if wanted.percent is not None:
            raise HTTPException(422, f"percent is for ramp only, not for {wanted.stage}")
        return 100
    if wanted.percent is None:
        raise HTTPException(422, "ramp needs a percent from 0 to 100")
    return wanted.percent


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    status = status_of(type(error)) if isinstance(error, VecferryError) else 500
    return JSONResponse({"detail": str(error)}, status_code=status)


async def _on_invalid(_: Request, error: Exception) -> JSONResponse:
    """Name every field and what is wrong with it, in one line."""
    reasons = error.errors() if isinstance(error, RequestValidationError) else ()
    return JSONResponse({"detail": "; ".join(map(_told, reasons))}, status_code=422)


def _told(reason: Mapping[str, Any]) -> str:
    if reason["type"] == "json_invalid":
        return f"the body is not JSON: {reason['ctx']['error']}"
    field = ".".join(str(part) for part in reason["loc"][1:])
    return f"{field or 'the body'}: {reason['msg']}"
