"""Exact counts of both stores now and then: random looks are long in finding a few points more or less."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from backfill.bypass import Mismatch, Watched, Witness, count_both
from backfill.metrics import ContinuousMetrics
from service.errors import VecferryError
from service.ports import PointReader

_log = structlog.get_logger(__name__)

_EVERY_SECONDS = 600.0
"""How often a collection is counted at most."""
_SHARE = 0.02
"""Of the time that may be spent counting: a count reads a whole table."""
_SHORTEST_PAUSE_SECONDS = 1.0
_TRIES = 5


class CountWatch:
    """Counts one watched collection after the other."""

    def __init__(
        self,
        watched: Callable[[], Sequence[Watched]],
        source: PointReader,
        witness: Witness,
        metrics: ContinuousMetrics,
        hindrance: Callable[[], Awaitable[str | None]],
        *,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        self._watched = watched
        self._source = source
        self._witness = witness
        self._metrics = metrics
        self._hindrance = hindrance
        self._every_seconds = every_seconds
        self._turn = 0
        self._found: dict[Watched, Mismatch] = {}

    def to_json(self) -> list[dict[str, object]]:
        """Return the collections whose counts did not agree."""
        return [
            {"collection": each.name, "source": found.source, "target": found.target}
            for each, found in self._found.items()
        ]

    async def run(self) -> None:
        """Count until cancelled."""
        while True:
            watched = sorted(self._watched(), key=lambda each: each.name)
            self._found = {each: found for each, found in self._found.items() if each in watched}
            self._metrics.miscounted.set(len(self._found))
            await asyncio.sleep(
                max(self._every_seconds / max(len(watched), 1), _SHORTEST_PAUSE_SECONDS)
            )
            if not watched or await self._is_hindered():
                continue
            self._turn += 1
            began = time.monotonic()
            try:
                await self.count(watched[self._turn % len(watched)])
            except (VecferryError, TimeoutError) as error:
                _log.info("counts_not_taken", error=str(error))
            await asyncio.sleep((time.monotonic() - began) / _SHARE)

    async def count(self, watched: Watched) -> bool | None:
        """Count one collection; true: the counts agree, ``None``: writes came in between every time."""
        before: Mismatch | None = None
        for _ in range(_TRIES):
            counted = await count_both(self._source, self._witness, watched)
            if isinstance(counted, Mismatch):
                if counted == before:
                    self._mismatch(watched, counted)
                    return False
                before = counted
            elif counted:
                self._metrics.counts.labels("equal").inc()
                self._found.pop(watched, None)
                return True
        self._metrics.counts.labels("not_quiet").inc()
        return None

    def _mismatch(self, watched: Watched, found: Mismatch) -> None:
        self._metrics.counts.labels("mismatch").inc()
        if self._found.get(watched) == found:
            return  # it was said
        self._found[watched] = found
        self._metrics.miscounted.set(len(self._found))
        self._metrics.suspected(None)
        _log.error(
            "bypass_suspected",
            collection=watched.name,
            source_points=found.source,
            target_points=found.target,
            probably_changed="unknown",
        )

    async def _is_hindered(self) -> bool:
        try:
            return await self._hindrance() is not None
        except VecferryError:
            return True
