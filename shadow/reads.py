"""``ShadowReads``: sampled searches, asked of the other store after the client has its answer.

Nothing here can delay or fail a client: offering never waits, and what a candidate does wrong is
counted.
"""

import asyncio
import time
from collections.abc import Mapping

import structlog

from service.errors import Unsupported, VecferryError
from service.model.qdrant import QueryRequest
from service.ports import PointReader
from service.stages import Side
from shadow.compare import Comparison, Outcome, compare
from shadow.eligible import is_comparable, limit_of
from shadow.metrics import Dropped, ShadowMetrics
from shadow.observation import Observation, ShadowRead
from shadow.parity import Parity, ParityBook
from shadow.sampling import Sampler

_log = structlog.get_logger(__name__)

_MOST_IDS_LOGGED = 10


class ShadowReads:
    """A bounded queue of searches and the workers that ask them again.

    ``run`` is the owner of the workers; without it the queue fills and further offers are dropped.
    """

    def __init__(
        self,
        candidates: Mapping[Side, PointReader],
        sampler: Sampler,
        metrics: ShadowMetrics,
        *,
        concurrency: int = 2,
        queue_size: int = 256,
        timeout_seconds: float = 5.0,
    ) -> None:
        self._candidates = candidates
        self._sampler = sampler
        self._metrics = metrics
        self._concurrency = concurrency
        self._queue: asyncio.Queue[ShadowRead] = asyncio.Queue(queue_size)
        self._timeout_seconds = timeout_seconds
        self._book = ParityBook()

    def wants(self, collection: str) -> bool:  # noqa: ARG002 - the port leaves room for a rate per collection
        """Say, before the answer is there, whether this search is in the sample."""
        return self._sampler.take()

    def offer(self, read: ShadowRead) -> None:
        """Take a search to compare, or count why not; never waits, never raises."""
        if not is_comparable(read.query):
            self._uncompared(read, Outcome.UNSUPPORTED)
        elif read.control.other not in self._candidates:
            self._metrics.dropped(Dropped.NO_CANDIDATE)
        else:
            try:
                self._queue.put_nowait(read)
            except asyncio.QueueFull:
                self._metrics.dropped(Dropped.QUEUE_FULL)

    def parity(self, collection: str) -> Parity:
        """Return how far the collection's stores agree over the last comparisons."""
        return self._book.parity(collection)

    def forget(self, collection: str) -> None:
        """Drop a collection's figures: what they described is gone."""
        self._book.forget(collection)

    async def run(self) -> None:
        """Compare what is offered, until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._concurrency):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            read = await self._queue.get()
            try:
                await self._compare(read)
            except Exception:  # noqa: BLE001 - a fault of ours must not end the worker
                _log.exception("shadow_read_failed", collection=read.collection)
                self._uncompared(read, Outcome.ERROR)
            finally:
                self._queue.task_done()

    async def _compare(self, read: ShadowRead) -> None:
        try:
            candidate = await self._ask(read)
        except Unsupported as error:
            _log.info("shadow_read_unsupported", collection=read.collection, path=error.path)
            self._uncompared(read, Outcome.UNSUPPORTED)
            return
        self._metrics.answered(read.control, read.observation.seconds)
        self._metrics.answered(read.control.other, candidate.seconds)
        if read.observation.error is not None or candidate.error is not None:
            _log.warning("shadow_read_error", collection=read.collection, error=candidate.error)
            self._uncompared(read, Outcome.ERROR)
        elif read.disturbed():
            # Also when the answers agree: keeping only those would flatter the figure.
            self._uncompared(read, Outcome.IN_FLIGHT)
        else:
            self._compared(read, candidate)

    async def _ask(self, read: ShadowRead) -> Observation:
        reader = self._candidates[read.control.other]
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                hits = await reader.query(read.collection, _bare(read.query))
        except Unsupported:
            raise
        except (VecferryError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            return Observation.failed(reason, time.perf_counter() - started)
        return Observation.of(hits, time.perf_counter() - started)

    def _compared(self, read: ShadowRead, candidate: Observation) -> None:
        control = read.observation
        comparison = compare(control, candidate, limit_of(read.query))
        self._metrics.ended(read.collection, comparison.outcome)
        self._metrics.compared(comparison)
        seconds = {read.control: control.seconds, read.control.other: candidate.seconds}
        self._book.add(read.collection, comparison, seconds)
        if comparison.outcome is Outcome.DIFFERING:
            _log_mismatch(read, comparison)

    def _uncompared(self, read: ShadowRead, outcome: Outcome) -> None:
        self._metrics.ended(read.collection, outcome)
        self._book.count(read.collection, outcome)


def _bare(query: QueryRequest) -> QueryRequest:
    """Return the search without what only the client needed: ids and scores are compared."""
    return query.model_copy(update={"with_payload": False, "with_vector": False})


def _log_mismatch(read: ShadowRead, comparison: Comparison) -> None:
    _log.info(
        "shadow_read_differing",
        collection=read.collection,
        control=str(read.control),
        overlap=comparison.overlap,
        missing=comparison.missing[:_MOST_IDS_LOGGED],
        extra=comparison.extra[:_MOST_IDS_LOGGED],
    )
