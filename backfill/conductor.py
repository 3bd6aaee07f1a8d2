"""Does the steps of jobs: what comes before their ranges and after them. One conductor at a time has a step."""

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

import structlog

from backfill.bell import Bell
from backfill.claiming import claim_and_hold
from backfill.holding import Lease, Noted, hold
from backfill.jobs import Job, JobKind, JobState
from backfill.patience import passes
from backfill.queue import StepQueue, StepWork
from backfill.timing import Timing
from service.errors import VecferryError

_log = structlog.get_logger(__name__)

_AT_ONCE = 8
"""Most steps wait, for instances or for the grace period: they must not keep other collections from beginning."""


class Conductor:
    """Does steps of the kinds of jobs that it is given. ``owner`` is the process that does it."""

    def __init__(
        self,
        steps: Mapping[JobKind, StepWork],
        queue: StepQueue,
        owner: UUID,
        *,
        concurrency: int = _AT_ONCE,
        bell: Bell | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._steps = steps
        self._queue = queue
        self._owner = owner
        self._concurrency = concurrency
        self._bell = bell or Bell()
        self._timing = timing or Timing()
        self._patience = self._timing.patience()

    async def run(self) -> None:
        """Work until cancelled; steps that are held then are given back."""
        kinds = list(self._steps)
        await claim_and_hold(
            lambda: self._queue.claim_step(self._owner, kinds),
            self._hold,
            most=self._concurrency,
            bell=self._bell,
            timing=self._timing,
        )

    async def _hold(self, job: Job) -> None:
        log = _log.bind(kind=job.kind, collection=job.collection, state=job.state)
        note = Noted()

        async def renew() -> bool:
            await self._queue.renew_step(job, self._owner, note.text)
            return True

        lease = Lease(
            renew,
            fail=lambda error: self._queue.failed(job, error),
            release=lambda: self._queue.release_step(job, self._owner),
        )
        await hold(self._patiently(job, note), lease, seconds=self._timing.heartbeat, log=log)

    async def _patiently(self, job: Job, note: Noted) -> None:
        """Do the step, again after errors that pass by themselves."""
        while True:
            try:
                await self._step(job, note)
            except VecferryError as error:
                if not passes(error):
                    raise
                pause = self._patience.failed(job.id, 0, time.monotonic())
                note(f"{error}; next try after {pause:.1f} s")
                _log.warning(
                    "step_waits",
                    kind=job.kind,
                    collection=job.collection,
                    error=str(error),
                    pause_seconds=pause,
                )
            else:
                self._patience.succeeded(job.id)
                _log.info("step_done", kind=job.kind, collection=job.collection, state=job.state)
                return
            await asyncio.sleep(pause)

    async def _step(self, job: Job, note: Noted) -> None:
        step = self._steps[job.kind]
        if job.state is JobState.PREPARING:
            ranges, total = await step.prepare(job, note)
            await self._queue.prepared(job, ranges, total)
        else:
            await self._queue.finished(job, await step.finish(job, note))
