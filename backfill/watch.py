"""Looks at the jobs every second, for the gauges and for the rates that status and control API show."""

import asyncio
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from uuid import UUID

import structlog

from backfill.jobs import Job
from backfill.metrics import JobGauges
from backfill.progress import Pace, Speedometer, pace
from backfill.queue import Jobs
from service.errors import VecferryError

_log = structlog.get_logger(__name__)

_BUSY_SECONDS = 1.0
_IDLE_SECONDS = 5.0
_SHOWN_SECONDS = 600.0
"""How long the gauges show a job behind its end: several scrapes see how it ended."""


class JobWatch:
    """Keeps a speedometer per open job; every instance has one, and all of them see the same jobs."""

    def __init__(
        self, jobs: Jobs, gauges: JobGauges, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._jobs = jobs
        self._gauges = gauges
        self._clock = clock
        self._speedometers: dict[UUID, Speedometer] = {}
        self._open: frozenset[UUID] = frozenset()
        self._ended: dict[UUID, tuple[Job, float]] = {}
        """Jobs that were seen open, as they ended, and when."""

    async def run(self) -> None:
        """Look until cancelled; while the database does not answer the last figures stay."""
        while True:
            is_busy = False
            try:
                is_busy = await self.look()
            except VecferryError as error:
                _log.debug("jobs_unreadable", error=str(error))
            await asyncio.sleep(_BUSY_SECONDS if is_busy else _IDLE_SECONDS)

    async def look(self) -> bool:
        """Read the jobs and show them; returns whether one is open."""
        jobs = {job.id: job for job in await self._jobs.open_jobs()}
        await self._keep_ended(jobs.keys())
        self._open = frozenset(jobs)
        self._speedometers = {id_: kept for id_, kept in self._speedometers.items() if id_ in jobs}
        # A newer job has the labels of an older one: the open ones come last.
        shown = [*(job for job, _ in self._ended.values()), *jobs.values()]
        self._gauges.show((job, self.pace_of(job)) for job in shown)
        return bool(jobs)

    def pace_of(self, job: Job) -> Pace:
        """Take what the job has scanned by now as a sample, and return its pace."""
        if not job.state.is_open:
            return pace(job, None)
        speedometer = self._speedometers.setdefault(job.id, Speedometer())
        speedometer.saw(job.scanned, at=self._clock())
        return pace(job, speedometer.points_per_second)

    async def _keep_ended(self, now_open: AbstractSet[UUID]) -> None:
        now, missing = self._clock(), self._open - now_open
        latest = await self._jobs.latest_of_all() if missing else ()
        kept = self._ended | {job.id: (job, now) for job in latest if job.id in missing}
        self._ended = {
            id_: (job, at)
            for id_, (job, at) in kept.items()
            if id_ not in now_open and now - at < _SHOWN_SECONDS
        }
