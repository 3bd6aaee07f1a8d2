"""A backfill or a verification as a drill sees it: through the control API, and in the rows that it leaves."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.faults.history import DrillFailed, History
from tests.faults.instances import Instance, Refused

_POLL_SECONDS = 0.05
_END_SECONDS = 240.0
"""A verification looks at what unsettled writes name for a minute, anew in each life of its conductor."""

_NOTES = """
    SELECT note FROM vecferry.jobs WHERE id = $1 AND note IS NOT NULL
    UNION ALL SELECT note FROM vecferry.job_ranges WHERE job = $1 AND note IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class LongJob:
    """One job of a history's collection."""

    history: History
    kind: str
    id: str

    @classmethod
    async def begun(
        cls, history: History, kind: str, *, by: Instance | None = None, **options: object
    ) -> "LongJob":
        """Start it through an instance."""
        instance = by or history.rig.instances[0]
        await instance.start_job(kind, history.name, **options)
        return cls(history, kind, (await instance.job(kind, history.name))["id"])

    async def row(self) -> Mapping[str, Any]:
        """Return what Postgres has of it, directly."""
        rows = await self.history.rig.fetch(
            "SELECT j.state, j.total, count(r.job) AS ranges, coalesce(sum(r.scanned), 0) AS scanned,"
            " coalesce(max(r.attempt), 0) AS attempts FROM vecferry.jobs AS j"
            " LEFT JOIN vecferry.job_ranges AS r ON r.job = j.id WHERE j.id = $1 GROUP BY j.id",
            self.id,
        )
        return dict(rows[0])

    async def is_open(self) -> bool:
        """Say whether it has not ended."""
        return (await self.row())["state"] in {"preparing", "running", "finishing"}

    async def reaches(self, state: str, *, seconds: float = _END_SECONDS) -> None:
        """Wait until it is in this state. Raises ``DrillFailed``."""
        deadline = time.monotonic() + seconds
        while (found := (await self.row())["state"]) != state:
            if time.monotonic() > deadline or found in {"done", "failed", "cancelled"}:
                raise DrillFailed(f"the {self.kind} is {found} and does not come to {state}")
            await asyncio.sleep(_POLL_SECONDS)

    async def owners(self) -> int:
        """Return how many processes hold ranges of it."""
        rows = await self.history.rig.fetch(
            "SELECT count(DISTINCT owner) AS owners FROM vecferry.job_ranges WHERE job = $1 AND NOT done",
            self.id,
        )
        found: int = rows[0]["owners"]
        return found

    async def is_shared(self, owners: int, *, seconds: float = 20.0) -> None:
        """Wait until so many processes hold ranges of it. Raises ``DrillFailed``."""
        deadline = time.monotonic() + seconds
        while (found := await self.owners()) < owners:
            if time.monotonic() > deadline:
                raise DrillFailed(f"{found} processes work on the {self.kind}, not {owners}")
            await asyncio.sleep(_POLL_SECONDS)

    async def says(self, words: str, *, seconds: float) -> str:
        """Wait until its note has these words, and return it. Raises ``DrillFailed``."""
        deadline = time.monotonic() + seconds
        seen: set[str] = set()
        while time.monotonic() < deadline:
            with suppress(OSError, asyncpg.PostgresError):
                rows = await self.history.rig.fetch(_NOTES, self.id)
                seen |= {row["note"] for row in rows}
            for note in seen:
                if words in note:
                    return note
            await asyncio.sleep(_POLL_SECONDS)
        raise DrillFailed(f"in {seconds:g} s the {self.kind} did not say {words!r}, but {seen}")

    async def lapse(self) -> None:
        """End every lease, as time would: also of those who live, and find themselves replaced."""
        for statement in (
            "UPDATE vecferry.job_ranges SET heard_at = '-infinity' WHERE job = $1",
            "UPDATE vecferry.jobs SET heard_at = '-infinity' WHERE id = $1",
        ):
            await self.history.rig.fetch(statement, self.id)

    async def is_taken_over(self) -> None:
        """Take every range from its worker, who lives and finds out with his next page; who took it died at once."""
        await self.history.rig.fetch(
            "UPDATE vecferry.job_ranges SET owner = NULL, attempt = attempt + 1 WHERE job = $1 AND owner IS NOT NULL",
            self.id,
        )

    async def ends(self) -> dict[str, Any]:
        """Take its limit away, wait for its end and return it as the operator sees it. Raises ``DrillFailed``."""
        deadline = time.monotonic() + _END_SECONDS
        instance, name = self.history.rig.instances[0], self.history.name
        is_tuned = False
        while True:
            with suppress(Refused):
                job = await instance.job(self.kind, name)
                if job["state"] != "running":
                    break
                if not is_tuned:
                    await instance.tune_job(self.kind, name, points_per_second=None)
                    is_tuned = True
            if time.monotonic() > deadline:
                raise DrillFailed(f"the {self.kind} does not end: {dict(await self.row())}")
            await asyncio.sleep(_POLL_SECONDS)
        if job["state"] != "done" or job["id"] != self.id:
            raise DrillFailed(f"the {self.kind} ended as {job}")
        return job
