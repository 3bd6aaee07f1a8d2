"""Backfills and verifications in the control API: start, follow, tune, cancel; of one collection, and a list of all."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from backfill.jobs import JobKind
from service.jobs import LongJobs, progress

Name = Annotated[str, Path(min_length=1)]


class TuneRequest(BaseModel):
    """What may be changed while a job runs; what is left out stays, ``null`` is no limit of the operator's."""

    model_config = ConfigDict(extra="forbid")

    paused: bool = False
    points_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    workers: int | None = Field(default=None, ge=1, le=10_000)
    page_bytes: int | None = Field(default=None, ge=1024, le=256 * 1024 * 1024)

    def changes(self) -> dict[str, object]:
        """Return the fields of ``Options`` that the request names."""
        return self.model_dump(include=self.model_fields_set & TuneRequest.model_fields.keys())


class StartRequest(TuneRequest):
    """``restart`` does everything again from the first id, and ends a job that is open."""

    restart: bool = False


def job_routes(jobs: LongJobs, prefix: str) -> APIRouter:
    """Return the routes below ``prefix``."""
    routes = APIRouter(prefix=prefix)

    @routes.get("/jobs")
    async def listed(
        pattern: Annotated[str, Query()] = "*", kind: Annotated[JobKind | None, Query()] = None
    ) -> list[dict[str, object]]:
        kinds = tuple(JobKind) if kind is None else (kind,)
        return [jobs.shown(job) for job in await jobs.listed(pattern, kinds)]

    for kind in JobKind:
        routes.include_router(_of_one(jobs, kind))
    return routes


def _of_one(jobs: LongJobs, kind: JobKind) -> APIRouter:
    routes = APIRouter(prefix=f"/collections/{{name}}/{kind}")

    @routes.post("")
    async def start(
        name: Name, wanted: Annotated[StartRequest | None, Body()] = None
    ) -> dict[str, object]:
        given = wanted or StartRequest()
        return jobs.described(await jobs.start(kind, name, given.changes(), restart=given.restart))

    @routes.get("")
    async def follow(name: Name) -> dict[str, object]:
        job = await jobs.latest(kind, name)
        if job is None:
            return {"job": None, "progress": None}
        return {"job": jobs.described(job), "progress": {"state": job.state, **progress(job)}}

    @routes.patch("")
    async def tune(name: Name, wanted: TuneRequest) -> dict[str, object]:
        return jobs.described(await jobs.tune(kind, name, wanted.changes()))

    @routes.delete("")
    async def cancel(name: Name) -> dict[str, object]:
        return jobs.described(await jobs.cancel(kind, name))

    return routes
