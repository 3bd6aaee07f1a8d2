"""Shadow reads off the request's path."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from service.errors import TargetUnavailable, Unsupported
from service.model.points import Hit
from service.model.qdrant import QueryRequest
from service.stages import Side
from shadow.compare import Outcome
from shadow.metrics import MOST_COLLECTIONS, ShadowMetrics
from shadow.observation import Observation, ShadowRead
from shadow.reads import ShadowReads
from shadow.sampling import Sampler
from tests.shadow.fakes import Candidate, answering, failing, stuck

HITS = (Hit(1, 0.9), Hit(2, 0.5))


def reads_of(candidate: Candidate, registry: CollectorRegistry, **bounds: float) -> ShadowReads:
    """Return shadow reads against this candidate as the target."""
    sampler = Sampler(1.0, Random(1))
    metrics = ShadowMetrics(registry)
    return ShadowReads({Side.TARGET: candidate}, sampler, metrics, **bounds)  # type: ignore[arg-type]


def read(
    collection: str = "c", *, disturbed: Callable[[], bool] = lambda: False, limit: int = 2
) -> ShadowRead:
    """Return a search that the source answered with ``HITS``."""
    query = QueryRequest(query=[1.0, 0.0], limit=limit, with_payload=True, with_vector=True)
    return ShadowRead(collection, query, Side.SOURCE, Observation.of(HITS, 0.001), disturbed)


@asynccontextmanager
async def running(reads: ShadowReads) -> AsyncIterator[None]:
    """Run the workers; on leaving wait until everything offered was handled."""
    async with asyncio.TaskGroup() as owner:
        task = owner.create_task(reads.run())
        yield
        await asyncio.wait_for(reads._queue.join(), 5)
        task.cancel()


async def test_an_equal_candidate_is_identical() -> None:
    """The candidate is asked for ids and scores only, and the parity says what it found."""
    registry = CollectorRegistry()
    candidate = answering(*HITS)
    reads = reads_of(candidate, registry)
    async with running(reads):
        reads.offer(read())
    parity = reads.parity("c")
    assert (parity.samples, parity.overlap, parity.identical) == (1, 1.0, 1.0)
    assert parity.latency[Side.SOURCE].p50 == 0.001
    assert [(q.with_payload, q.with_vector) for q in candidate.asked] == [(False, False)]
    labels = {"collection": "c", "outcome": "identical"}
    assert registry.get_sample_value("vecferry_shadow_reads_total", labels) == 1


async def test_a_candidate_that_lacks_a_point_differs() -> None:
    """A hit that is not there is a mismatch with half the overlap."""
    reads = reads_of(answering(HITS[0], Hit(3, 0.1)), CollectorRegistry())
    async with running(reads):
        reads.offer(read())
    assert reads.parity("c").overlap == 0.5
    assert reads.parity("c").outcomes[Outcome.DIFFERING] == 1


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [
        (failing(TargetUnavailable("is down")), Outcome.ERROR),
        (failing(Unsupported("query.using")), Outcome.UNSUPPORTED),
        (failing(ZeroDivisionError()), Outcome.ERROR),
        (stuck(), Outcome.ERROR),
    ],
    ids=["down", "unsupported", "fault", "stuck"],
)
async def test_a_failing_candidate_is_counted(candidate: Candidate, outcome: Outcome) -> None:
    """Failures of every kind are counted, are no parity samples and leave the workers running."""
    reads = reads_of(candidate, CollectorRegistry(), timeout_seconds=0.02, concurrency=1)
    async with running(reads):
        reads.offer(read())
        reads.offer(read())
    assert reads.parity("c").outcomes[outcome] == 2
    assert reads.parity("c").samples == 0


async def test_a_disturbed_read_is_ignored() -> None:
    """A write during the read explains any difference, so it is no sample, whatever it shows."""
    reads = reads_of(answering(*HITS), CollectorRegistry())
    async with running(reads):
        reads.offer(read(disturbed=lambda: True))
    assert reads.parity("c").outcomes[Outcome.IN_FLIGHT] == 1
    assert reads.parity("c").samples == 0


async def test_disturbance_is_asked_after_the_candidate() -> None:
    """A write that begins while the candidate searches is noticed."""
    wrote = False

    async def answer(request: QueryRequest) -> list[Hit]:
        nonlocal wrote
        wrote = True
        return list(HITS)

    reads = reads_of(Candidate(answer), CollectorRegistry())
    async with running(reads):
        reads.offer(read(disturbed=lambda: wrote))
    assert reads.parity("c").outcomes[Outcome.IN_FLIGHT] == 1


async def test_a_full_queue_drops_and_counts() -> None:
    """Behind a stuck candidate offers return at once; what finds no room is counted."""
    registry = CollectorRegistry()
    reads = reads_of(stuck(), registry, concurrency=1, queue_size=3, timeout_seconds=60)
    async with asyncio.TaskGroup() as owner:
        task = owner.create_task(reads.run())
        for _ in range(3):
            reads.offer(read())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        # The worker holds one of the three; one more fits.
        for _ in range(5):
            reads.offer(read())
        task.cancel()
    dropped = registry.get_sample_value("vecferry_shadow_dropped_total", {"reason": "queue_full"})
    assert dropped == 4


async def test_concurrency_is_bounded() -> None:
    """No more searches run at once on the candidate than were allowed."""
    running_now = most = 0

    async def answer(request: QueryRequest) -> list[Hit]:
        nonlocal running_now, most
        running_now += 1
        most = max(most, running_now)
        await asyncio.sleep(0.001)
        running_now -= 1
        return list(HITS)

    reads = reads_of(Candidate(answer), CollectorRegistry(), concurrency=3)
    async with running(reads):
        for _ in range(20):
            reads.offer(read())
    assert most == 3
    assert reads.parity("c").samples == 20


async def test_searches_that_cannot_be_compared_do_not_reach_the_candidate() -> None:
    """A random or paged search costs the other store nothing and is counted."""
    candidate = answering(*HITS)
    reads = reads_of(candidate, CollectorRegistry())
    async with running(reads):
        reads.offer(read(limit=5_000))
    assert candidate.asked == []
    assert reads.parity("c").outcomes[Outcome.UNSUPPORTED] == 1


async def test_without_the_other_store_the_read_is_dropped() -> None:
    """A control whose counterpart is not configured drops the read by name."""
    registry = CollectorRegistry()
    reads = reads_of(answering(*HITS), registry)
    target_read = read()
    answered_by_target = ShadowRead(
        "c", target_read.query, Side.TARGET, target_read.observation, target_read.disturbed
    )
    reads.offer(answered_by_target)
    dropped = registry.get_sample_value("vecferry_shadow_dropped_total", {"reason": "no_candidate"})
    assert dropped == 1


async def test_collection_labels_are_bounded() -> None:
    """The hundred-and-first collection is counted under one common label."""
    registry = CollectorRegistry()
    reads = reads_of(answering(*HITS), registry)
    for number in range(MOST_COLLECTIONS + 5):
        reads.offer(read(f"c{number}", limit=5_000))
    labels = {"collection": "other", "outcome": "unsupported"}
    assert registry.get_sample_value("vecferry_shadow_reads_total", labels) == 5
    labels = {"collection": "c0", "outcome": "unsupported"}
    assert registry.get_sample_value("vecferry_shadow_reads_total", labels) == 1
