"""Repair below ``/v1/control``: a page of ids at a time, as the command line goes through them."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, model_validator

from service.api.quarantine import required
from service.repairing import Repairs

Name = Annotated[str, Path(min_length=1)]


class RepairRequest(BaseModel):
    """Which ids: those of a receipt (the newest one by default) or those of the ledger's refused intents.

    Without ``apply`` nothing is written. ``after`` is the ``next`` of the page before.
    """

    model_config = ConfigDict(extra="forbid")

    receipt: UUID | None = None
    ledger: bool = False
    after: str | None = None
    apply: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.ledger and self.receipt is not None:
            message = "give receipt or ledger, not both"
            raise ValueError(message)
        return self


def repair_routes(repairs: Repairs | None, prefix: str) -> APIRouter:
    """Return the routes; ``repairs`` is ``None`` where there is no Qdrant."""
    router = APIRouter(prefix=prefix)

    @router.post("/collections/{name}/repair")
    async def repair(name: Name, wanted: RepairRequest) -> dict[str, object]:
        return await required(repairs).repair(
            name,
            receipt=wanted.receipt,
            ledger=wanted.ledger,
            after=wanted.after,
            apply=wanted.apply,
        )

    return router
