"""Copying a collection."""

import asyncio
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from backfill.job import Job, JobState
from backfill.metrics import BackfillMetrics
from backfill.retry import Retry
from backfill.run import Backfill
from service.errors import (
    SourceUnavailable,
    StaleEpoch,
    StoreAnswered,
    StoreError,
    TargetUnavailable,
    WrongInput,
)
from service.model.ids import PointId
from service.model.points import Point
from tests.backfill.fakes import Shelf, Till, point

AT_ONCE = Retry(tries=3, first_seconds=0.0)


def backfill(source: Shelf, store: Till, registry: CollectorRegistry | None = None) -> Backfill:
    """Return a backfill in pages of two, without pauses."""
    metrics = BackfillMetrics(registry or CollectorRegistry())
    return Backfill(source, store, metrics, page_size=2, retry=AT_ONCE)


async def test_everything_is_copied_and_counted() -> None:
    """All points arrive, the job is done, and progress and metrics say how many."""
    source, store, registry = Shelf(point(i) for i in range(5)), Till(), CollectorRegistry()
    seen: list[Job] = []
    job = await backfill(source, store, registry).run("c", on_progress=seen.append)
    assert sorted(store.rows) == list(range(5))
    assert (job.state, job.scanned, job.copied, job.total) == (JobState.DONE, 5, 5, 5)
    assert [(j.scanned, j.state) for j in seen] == [(2, "running"), (4, "running"), (5, "done")]
    assert registry.get_sample_value("vecferry_backfill_points_copied_total") == 5
    assert registry.get_sample_value("vecferry_backfill_pages_total") == 3


async def test_an_empty_collection_is_done() -> None:
    """There is nothing to copy, and that is a finished job."""
    job = await backfill(Shelf(), Till()).run("c")
    assert (job.state, job.scanned) == (JobState.DONE, 0)


async def test_what_is_there_stays() -> None:
    """A point that a live write brought, and one that it deleted, are not overwritten."""
    source, store = Shelf(point(i, {"from": "source"}) for i in (1, 2, 3)), Till()
    store.rows = {1: point(1, {"from": "live"}), 2: None}
    job = await backfill(source, store).run("c")
    assert store.rows[1] is not None
    assert store.rows[1].payload == {"from": "live"}
    assert store.rows[2] is None
    assert (job.copied, job.scanned) == (1, 3)


@pytest.mark.parametrize("turns", range(26))
async def test_killed_anywhere_and_resumed(turns: int) -> None:
    """A run that ends at any moment is taken over there; nothing is copied twice or left out."""
    source, store = Shelf(point(i) for i in range(11)), Till()
    async with asyncio.TaskGroup() as owner:
        run = owner.create_task(backfill(source, store).run("c"))
        for _ in range(turns):
            await asyncio.sleep(0)
        run.cancel()
    was_begun = store.job is not None
    job = await backfill(source, store).run("c")
    assert job.state is JobState.DONE
    assert sorted(store.rows) == list(range(11))
    assert job.scanned == job.copied == 11
    assert job.attempt == (2 if run.cancelled() and was_begun else 1)


async def test_a_done_job_is_not_run_again() -> None:
    """A second run reads nothing, unless it is asked to restart."""
    source, store = Shelf([point(1)]), Till()
    await backfill(source, store).run("c")
    scrolls = source.scrolls
    await backfill(source, store).run("c")
    assert source.scrolls == scrolls
    job = await backfill(source, store).run("c", restart=True)
    assert (job.attempt, job.scanned, job.copied) == (2, 1, 0)


async def test_a_source_that_comes_back_is_waited_for() -> None:
    """Fewer failures in a row than tries do not end the run."""
    source, store = Shelf(point(i) for i in range(3)), Till()
    source.failures = [SourceUnavailable("is down"), StoreAnswered(503, b"busy")]

    def lose_the_source(job: object) -> None:
        source.failures = [SourceUnavailable("is down")] * 2

    job = await backfill(source, store).run("c", on_progress=lose_the_source)
    assert (job.state, job.attempt, job.copied) == (JobState.DONE, 1, 3)


async def test_a_source_that_stays_away_fails_the_job() -> None:
    """After the last try the error is raised and recorded, and the job can be resumed."""
    source, store = Shelf(point(i) for i in range(5)), Till()

    def lose_the_source(job: object) -> None:
        source.failures = [SourceUnavailable("is down")] * 3

    with pytest.raises(SourceUnavailable):
        await backfill(source, store).run("c", on_progress=lose_the_source)
    assert store.job is not None
    assert store.job.state is JobState.FAILED
    assert "is down" in str(store.job.error)
    source.failures = []
    assert (await backfill(source, store).run("c")).state is JobState.DONE
    assert sorted(store.rows) == list(range(5))


async def test_a_refused_request_is_not_repeated() -> None:
    """An answer that blames the request is raised at once."""
    source, store = Shelf([point(1)]), Till()
    source.failures = [StoreAnswered(400, b"bad"), StoreAnswered(400, b"bad")]
    with pytest.raises(StoreAnswered):
        await backfill(source, store).run("c")
    assert len(source.failures) == 1


async def test_an_unconfirmed_commit_is_looked_up() -> None:
    """A page that was written although its answer was lost is not written twice."""
    source, store = Shelf(point(i) for i in range(5)), Till()
    store.lost_answers = [TargetUnavailable("dropped the connection")]
    job = await backfill(source, store).run("c")
    assert (job.state, job.scanned, job.copied, job.attempt) == (JobState.DONE, 5, 5, 2)


async def test_a_target_that_stays_away_ends_the_run() -> None:
    """The run gives up after its tries; the stored job can be taken over."""
    source, store = Shelf(point(i) for i in range(3)), Till()
    store.failures = [TargetUnavailable("is down")] * 3
    with pytest.raises(TargetUnavailable):
        await backfill(source, store).run("c")
    assert (await backfill(source, store).run("c")).state is JobState.DONE


async def test_a_point_that_the_target_refuses_fails_the_job() -> None:
    """Nothing is skipped silently: page and reason stand in the job, on one line."""
    source, store = Shelf(point(i) for i in (3, 5, 8, 9)), Till()

    def refuse_the_next(job: object) -> None:
        store.failures = [WrongInput("expected dim: 4, got 2\nDETAIL: nobody asked")]

    with pytest.raises(StoreError) as caught:
        await backfill(source, store).run("c", on_progress=refuse_the_next)
    assert str(caught.value) == (
        "the target refused the page of the ids 8 to 9: Wrong input: expected dim: 4, got 2"
    )
    assert store.job is not None
    assert (store.job.state, store.job.error) == (JobState.FAILED, str(caught.value))


async def test_a_replaced_run_stops() -> None:
    """When another run takes over, the first one ends without touching the job."""
    source, store = Shelf(point(i) for i in range(9)), Till()

    def replace(job: object) -> None:
        assert store.job is not None
        store.job = type(store.job)(
            "c", 1, store.job.attempt + 1, JobState.RUNNING, store.job.cursor
        )

    with pytest.raises(StaleEpoch):
        await backfill(source, store).run("c", on_progress=replace)
    assert store.job is not None
    assert (store.job.attempt, store.job.state) == (2, JobState.RUNNING)


async def test_the_next_page_is_read_while_one_is_written() -> None:
    """Reading and writing overlap: the second scroll is done before the first page is in."""
    source = Shelf(point(i) for i in range(4))
    scrolls_at_write = []

    class Slow(Till):
        async def insert_page(
            self, job: Job, points: Sequence[Point], next_cursor: PointId | None
        ) -> Job:
            for _ in range(5):
                await asyncio.sleep(0)
            scrolls_at_write.append(source.scrolls)
            return await super().insert_page(job, points, next_cursor)

    await backfill(source, Slow()).run("c")
    assert scrolls_at_write == [2, 2]
