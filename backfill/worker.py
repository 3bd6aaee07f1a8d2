"""Claims ranges of any job and works on them, several at once; runs on any number of machines."""

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

import structlog

from backfill.bell import Bell
from backfill.claiming import claim_and_hold
from backfill.holding import Lease, Noted, hold
from backfill.jobs import Claim, JobKind
from backfill.patience import passes
from backfill.queue import RangeQueue, RangeWork
from backfill.timing import Timing
from service.errors import VecferryError

_log = structlog.get_logger(__name__)


class Worker:
    """Works on ``concurrency`` ranges at once. ``owner`` is the process that does it."""

    def __init__(
        self,
        works: Mapping[JobKind, RangeWork],
        queue: RangeQueue,
        owner: UUID,
        *,
        concurrency: int = 1,
        bell: Bell | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._works = works
        self._queue = queue
        self._owner = owner
        self._concurrency = concurrency
        self._bell = bell or Bell()
        self._timing = timing or Timing()
        self._patience = self._timing.patience()

    async def run(self) -> None:
        """Work until cancelled; ranges that are held then are given back."""
        kinds = list(self._works)
        await claim_and_hold(
            lambda: self._queue.claim(self._owner, kinds),
            self._hold,
            most=self._concurrency,
            bell=self._bell,
            timing=self._timing,
        )

    async def _hold(self, claim: Claim) -> None:
        """Work on a range until it is done, or has to be given back."""
        log = _log.bind(kind=claim.kind, collection=claim.collection, range=claim.number)
        note = Noted()

        async def renew() -> bool:
            orders = await self._queue.renew(claim, self._owner, note.text)
            # New options are taken up under a new claim: whoever waits under the old ones could wait for long.
            return orders.goes_on and orders.options == claim.options

        lease = Lease(
            renew,
            fail=lambda error: self._queue.give_up(claim, error),
            release=lambda: self._queue.release(claim, self._owner, note.text),
        )
        await hold(self._work(claim, note), lease, seconds=self._timing.heartbeat, log=log)

    async def _work(self, claim: Claim, note: Noted) -> None:
        """Work; after an error that passes by itself, wait and say why. The range is claimed again then."""
        place = (claim.job, claim.number)
        try:
            await self._works[claim.kind].work(claim, note)
        except VecferryError as error:
            if not passes(error):
                raise
            pause = self._patience.failed(place, claim.scanned, time.monotonic())
            note(f"{error}; next try after {pause:.1f} s")
            _log.warning(
                "range_waits",
                kind=claim.kind,
                collection=claim.collection,
                range=claim.number,
                error=str(error),
                pause_seconds=pause,
            )
            await asyncio.sleep(pause)
        else:
            self._patience.succeeded(place)
