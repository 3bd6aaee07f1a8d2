"""Copying a collection: resumable at every page, safe to kill anywhere.

Rule 1: what is copied is inserted only where the target has nothing, so live writes always win.
Rule 2: a page and its checkpoint are one transaction (R13); memory holds nothing that matters.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from backfill.job import Job, JobState
from backfill.metrics import BackfillMetrics
from backfill.pages import PointPage, read_page
from backfill.ports import BackfillStore
from backfill.retry import Retry
from backfill.together import together
from service.errors import (
    RequestError,
    StaleEpoch,
    StoreError,
    TargetUnavailable,
    VecferryError,
)
from service.model.ids import PointId
from service.model.qdrant import CountRequest
from service.ports import PointReader

_log = structlog.get_logger(__name__)

PAGE_SIZE = 250
"""Large pages are hardly faster, and decoding one holds up whatever else the event loop serves."""

_ALL = CountRequest(exact=True)

Progress = Callable[[Job], None]


class Backfill:
    """Copies collections from the source into a store; one value serves any number of runs."""

    def __init__(
        self,
        source: PointReader,
        store: BackfillStore,
        metrics: BackfillMetrics,
        *,
        page_size: int = PAGE_SIZE,
        retry: Retry | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._metrics = metrics
        self._page_size = page_size
        self._retry = retry or Retry()

    async def run(
        self, collection: str, *, on_progress: Progress | None = None, restart: bool = False
    ) -> Job:
        """Begin or resume the collection's backfill and return its job when it is done.

        A store that does not answer is waited for, a bounded number of times. Errors are recorded
        in the job and raised; a run that is cancelled leaves its job to be resumed. Raises
        ``StaleEpoch`` when another run has taken over or the collection was dropped, and
        ``StoreError`` naming the page's first and last id when the target refuses what is in it.
        """
        total = await self._retry.call(lambda: self._source.count(collection, _ALL))
        job = await self._store.start(collection, total=total, restart=restart)
        pauses = self._retry.pauses()
        while True:
            try:
                return await self._copy(job, on_progress)
            except StaleEpoch:
                raise
            except TargetUnavailable as error:
                pause = next(pauses, None)
                if pause is None:
                    raise
                _log.warning("backfill_target_unavailable", error=str(error), pause_seconds=pause)
            except VecferryError as error:
                await self._store.finish(job, error=str(error))
                raise
            await asyncio.sleep(pause)
            # The page whose commit was not confirmed may be in: only the stored cursor knows.
            before, job = job, await self._resumed(job, total)
            if job.cursor != before.cursor:
                pauses = self._retry.pauses()

    async def _resumed(self, job: Job, total: int) -> Job:
        async def start() -> Job:
            return await self._store.start(job.collection, total=total)

        return await self._retry.call(start)

    async def _copy(self, job: Job, on_progress: Progress | None) -> Job:
        """Copy from the job's cursor on; one page is read while the one before it is written."""
        if job.state is not JobState.RUNNING:
            return job
        page: PointPage | None = await self._read(job, job.cursor)
        while page is not None:
            job, page = await self._write_and_read_ahead(job, page)
            if on_progress is not None:
                on_progress(job)
        return job

    async def _write_and_read_ahead(
        self, job: Job, page: PointPage
    ) -> tuple[Job, PointPage | None]:
        if page.next_id is None:
            return await self._write(job, page), None
        return await together(self._write(job, page), self._read(job, page.next_id))

    async def _read(self, job: Job, start: PointId | None) -> PointPage:
        return await read_page(self._source, job.collection, start, self._page_size, self._retry)

    async def _write(self, job: Job, page: PointPage) -> Job:
        started = time.perf_counter()
        try:
            after = await self._store.insert_page(job, page.points, page.next_id)
        except RequestError as error:
            raise _refused(page, error) from error
        self._metrics.page_seconds.observe(time.perf_counter() - started)
        self._metrics.pages.inc()
        self._metrics.scanned.inc(after.scanned - job.scanned)
        self._metrics.copied.inc(after.copied - job.copied)
        return after


def _refused(page: PointPage, error: RequestError) -> StoreError:
    first, last = page.points[0].id, page.points[-1].id
    reason = str(error).partition("\n")[0]
    return StoreError(f"the target refused the page of the ids {first} to {last}: {reason}")
