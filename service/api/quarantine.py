"""The quarantine below ``/v1/control``: what is listed, waivers, and trying again."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, field_validator

from backfill.queue import Quarantine
from service.errors import StageError, WrongInput
from service.model.ids import PointId, encode_key, parse_point_id
from service.repairing import Repairs

_MOST_POINTS = 1_000
_MOST_IDS = 10_000

Name = Annotated[str, Path(min_length=1)]


class _Ids(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @field_validator("ids", mode="before", check_fields=False)
    @classmethod
    def _canonical(cls, value: object) -> object:
        return [parse_point_id(each) for each in value] if isinstance(value, list) else value


class WaiveRequest(_Ids):
    """The points to give up, each by name."""

    ids: list[int | str] = Field(min_length=1, max_length=_MOST_IDS)


class RetryRequest(_Ids):
    """The points to try again; without ``ids`` a page of all, behind ``after``."""

    ids: list[int | str] | None = Field(default=None, min_length=1, max_length=_MOST_IDS)
    after: str | None = None


def quarantine_routes(quarantine: Quarantine, repairs: Repairs | None, prefix: str) -> APIRouter:
    """Return the routes; ``repairs`` is ``None`` where there is no Qdrant."""
    router = APIRouter(prefix=prefix)

    @router.get("/quarantine")
    async def listed(
        collection: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST_POINTS)] = 100,
    ) -> dict[str, object]:
        found = await quarantine.listed(collection, limit=limit, after=_place(after))
        last = found[-1] if len(found) == limit else None
        following = None if last is None else f"{last.generation}~{encode_key(last.id).hex()}"
        return {"points": [asdict(each) for each in found], "next": following}

    @router.get("/quarantine/count")
    async def count() -> dict[str, dict[str, int]]:
        counts = await quarantine.counts()
        return {
            name: {"blocking": blocking, "waived": waived}
            for name, (blocking, waived) in counts.items()
        }

    @router.post("/collections/{name}/quarantine/waive")
    async def waive(name: Name, wanted: WaiveRequest) -> dict[str, int]:
        return {"waived": await quarantine.waive(name, wanted.ids, actor="operator")}

    @router.post("/collections/{name}/quarantine/retry")
    async def retry(name: Name, wanted: RetryRequest) -> dict[str, object]:
        ids: Sequence[PointId] | None = wanted.ids
        return await required(repairs).retry(name, ids, after=wanted.after)

    return router


def required(repairs: Repairs | None) -> Repairs:
    """Return the repairs. Raises ``StageError`` where there is only one store."""
    if repairs is None:
        message = "there is no Qdrant: nothing can be compared or copied"
        raise StageError(message)
    return repairs


def _place(after: str | None) -> tuple[int, bytes] | None:
    if after is None:
        return None
    generation, _, key = after.partition("~")
    try:
        return int(generation), bytes.fromhex(key)
    except ValueError:
        reason = f"`{after}` is not the end of a page of the quarantine"
        raise WrongInput(reason) from None
