"""Copying a collection: resumable at every page, safe to kill anywhere.

Rule 1: what is copied is inserted only where the target has nothing, so live writes always win.
Rule 2: a page and its checkpoint are one transaction (R13); memory holds nothing that matters.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import structlog

from backfill.ahead import ahead_of
from backfill.jobs import Claim, Job, Orders
from backfill.key_range import KeyRange
from backfill.metrics import BackfillMetrics
from backfill.page_size import PageLimits, PageWeight, page_size
from backfill.pages import PointPage, pages, point_of
from backfill.queue import Advance, Note, Pace, RangeQueue, RangeWork, StepWork
from backfill.splitting import ranges_of
from service.errors import RequestError, TargetRefused
from service.model.ids import encode_key
from service.model.points import Point
from service.model.qdrant import CountRequest, PointRequest
from service.ports import PointReader

_log = structlog.get_logger(__name__)

Arm = Callable[[Job, Note], Awaitable[None]]
"""Returns when every live instance writes intents for the collection (R9)."""

_MOST_WEIGHTS = 64
_PAGES_AHEAD = 1
"""In memory are the page that is written, one that is ready, one that waits to be, and one as it came."""

MarkBackfilled = Callable[[Job], Awaitable[None]]


class BuildIndexes(Protocol):
    """Builds the target's HNSW indexes of a collection that is large enough for them."""

    async def __call__(self, collection: str, note: Note) -> Sequence[Mapping[str, object]]:
        """Return what was built, as JSON values; the note tells how far it is."""
        ...


class CopySteps:
    """What comes before and after the copying of ranges."""

    def __init__(
        self,
        source: PointReader,
        arm: Arm,
        build_indexes: BuildIndexes,
        mark_backfilled: MarkBackfilled,
    ) -> None:
        self._source = source
        self._arm = arm
        self._build_indexes = build_indexes
        self._mark_backfilled = mark_backfilled

    async def prepare(self, job: Job, note: Note) -> tuple[Sequence[KeyRange], int | None]:
        """Wait until the mirror is armed, then count and split what the source has."""
        await self._arm(job, note)
        note(None)
        # An exact count reads every id; progress is shown well enough with an estimate.
        total = await self._source.count(job.collection, CountRequest(exact=False))
        return await ranges_of(self._source, job.collection, total), total

    async def finish(self, job: Job, note: Note) -> Mapping[str, object]:
        """Build the indexes, and let the collection go on to its next stage."""
        note("building indexes")
        indexes = await self._build_indexes(job.collection, note)
        await self._mark_backfilled(job)
        return {"indexes": [dict(index) for index in indexes]}


class CopyWork:
    """Copies ranges from the source into the store that keeps the queue."""

    def __init__(
        self,
        source: PointReader,
        queue: RangeQueue,
        pace: Pace,
        metrics: BackfillMetrics,
        *,
        limits: PageLimits | None = None,
    ) -> None:
        self._source = source
        self._queue = queue
        self._pace = pace
        self._metrics = metrics
        self._limits = limits or PageLimits()
        self._weights: dict[UUID, PageWeight] = {}
        """The last page's of each job: a range begins with pages as large as the others' are."""

    async def work(self, claim: Claim, note: Note) -> None:
        """Copy from the range's cursor on; pages are read while those before them are written."""
        orders = Orders(claim.options)
        start = claim.range.first if claim.cursor is None else claim.cursor

        def size() -> int:
            return page_size(self._limits, orders, self._weights.get(claim.job))

        reading = pages(self._source, claim.collection, claim.range, start, size)
        async with ahead_of(reading, _PAGES_AHEAD) as ahead:
            while orders.goes_on and (page := await ahead.take()) is not None:
                self._weigh(claim, page)
                claim, orders, seconds = await self._write(claim, page)
                await self._pace.after_page(
                    points=len(page.points),
                    target_seconds=seconds,
                    source_seconds=page.seconds,
                    orders=orders,
                    note=note,
                )

    def _weigh(self, claim: Claim, page: PointPage) -> None:
        if page.weight.points:
            self._weights[claim.job] = page.weight
        while len(self._weights) > _MOST_WEIGHTS:
            self._weights.pop(next(iter(self._weights)))

    async def _write(self, claim: Claim, page: PointPage) -> tuple[Claim, Orders, float]:
        started = time.perf_counter()
        after = Advance(page.next_key, scanned=len(page.points), bytes=page.weight.bytes)
        try:
            advanced, orders = await self._queue.insert_page(claim, page.points, after)
        except (RequestError, TargetRefused) as error:
            _log.info("page_refused", collection=claim.collection, error=str(error))
            advanced, orders = await self._write_around(claim, page.points, after)
        seconds = time.perf_counter() - started
        self._metrics.page_seconds.observe(seconds)
        self._metrics.pages.inc()
        self._metrics.scanned.inc(len(page.points))
        self._metrics.copied.inc(advanced.written - claim.written)
        return advanced, orders, seconds

    async def _write_around(
        self, claim: Claim, points: Sequence[Point], after: Advance
    ) -> tuple[Claim, Orders]:
        """Write a page without the points that the target cannot hold, which go to the quarantine.

        They are read once more before: a vector that was dropped since, say, is no reason any longer.
        """
        refused = {each.key for each in await self._queue.refused_of(claim, points)}
        suspects = [point for point in points if encode_key(point.id) in refused]
        now = await self._now(claim, suspects)
        still = await self._queue.refused_of(claim, now)
        spoiled = {each.key for each in still}
        fitting = [point for point in points if encode_key(point.id) not in refused]
        fitting += [point for point in now if encode_key(point.id) not in spoiled]
        return await self._queue.insert_page(claim, fitting, after, still)

    async def _now(self, claim: Claim, points: Sequence[Point]) -> list[Point]:
        if not points:
            return []
        request = PointRequest(
            ids=[point.id for point in points], with_payload=True, with_vector=True
        )
        return [point_of(r) for r in await self._source.retrieve(claim.collection, request)]


if TYPE_CHECKING:
    _steps: type[StepWork] = CopySteps
    _work: type[RangeWork] = CopyWork
