"""The control API: ``/v1/control/…``, for the CLI. It listens on loopback only and asks for the operator's key."""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from service.administration import Administration
from service.api.errors import status_of
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


class BackfillRequest(BaseModel):
    """``restart`` copies everything again from the first id."""

    model_config = ConfigDict(extra="forbid")

    restart: bool = False


Name = Annotated[str, Path(min_length=1)]


def control_app(administration: Administration, *, operator_key: str) -> FastAPI:
    """Return the control API over an instance's administration."""

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
    app.include_router(ledger_routes(administration.ledger, PREFIX))

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

    @app.post(PREFIX + "/collections/{name}/backfill")
    async def start_backfill(name: Name, wanted: BackfillRequest) -> dict[str, object]:
        return (await administration.start_backfill(name, restart=wanted.restart)).to_json()

    @app.get(PREFIX + "/collections/{name}/backfill")
    async def backfill(name: Name) -> dict[str, object]:
        job = administration.job("backfill", name)
        stored = await administration.backfill_job(name)
        return {
            "job": None if job is None else job.to_json(),
            "progress": None if stored is None else stored.to_json(),
        }

    @app.post(PREFIX + "/collections/{name}/verify")
    async def start_verify(name: Name) -> dict[str, object]:
        return (await administration.start_verify(name)).to_json()

    @app.get(PREFIX + "/collections/{name}/verify")
    async def verify(name: Name) -> dict[str, object]:
        job = administration.job("verify", name)
        return {"job": None if job is None else job.to_json()}

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
