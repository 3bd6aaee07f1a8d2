"""Backfill jobs and pages in Postgres."""

import asyncio
from collections.abc import Awaitable

import numpy as np
import pytest

from backfill.job import Job, JobState
from service.errors import CollectionNotFound, StaleEpoch
from service.model.ids import PointId
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, PointRequest, VectorParams
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.store import PgStore

UUID = "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"
CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))


def point(point_id: PointId, source: str = "backfill") -> Point:
    """Return a point that says who wrote it."""
    return Point(point_id, {"": np.array([1.0, 2.0], np.float32)}, {"from": source})


@pytest.fixture
async def jobs(database: Database) -> PostgresJobs:
    """Jobs on a database that has the empty collection ``c``."""
    await PgStore(database).create_collection("c", CONFIG)
    return PostgresJobs(database)


async def stored(database: Database, *ids: PointId) -> dict[PointId, object]:
    """Return who wrote the points that are there."""
    request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
    records = await PgStore(database).retrieve("c", request)
    assert all(list(record.vectors or {}) == [""] for record in records)
    return {record.id: (record.payload or {}).get("from") for record in records}


async def test_a_job_advances_with_its_pages(database: Database, jobs: PostgresJobs) -> None:
    """Pages are inserted, the cursor moves on as an id, and without a next one the job is done."""
    job = await jobs.start("c", total=3)
    assert (job.attempt, job.state, job.cursor) == (1, JobState.RUNNING, None)
    job = await jobs.insert_page(job, [point(1), point(2)], UUID)
    assert job == await jobs.get("c")
    assert (job.cursor, job.copied, job.scanned) == (UUID, 2, 2)
    job = await jobs.insert_page(job, [point(UUID)], None)
    assert job == await jobs.get("c")
    assert (job.state, job.copied, job.total) == (JobState.DONE, 3, 3)
    assert await stored(database, 1, 2, UUID) == dict.fromkeys([1, 2, UUID], "backfill")


async def test_live_rows_and_tombstones_stay(database: Database, jobs: PostgresJobs) -> None:
    """A point that a live write brought is kept, and one that it deleted does not come back."""
    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        await writes.mirror(connection, tables, [point(1, "live")], [2])
    job = await jobs.start("c", total=3)
    job = await jobs.insert_page(job, [point(1), point(2), point(3)], None)
    assert (job.scanned, job.copied) == (3, 1)
    assert await stored(database, 1, 2, 3) == {1: "live", 3: "backfill"}


async def test_a_taken_over_run_writes_nothing(database: Database, jobs: PostgresJobs) -> None:
    """After another run has started, the page of the first one is refused as a whole (R13)."""
    first = await jobs.start("c", total=2)
    second = await jobs.start("c", total=2)
    assert second.attempt == 2
    with pytest.raises(StaleEpoch):
        await jobs.insert_page(first, [point(1)], 2)
    assert await stored(database, 1) == {}
    assert await jobs.get("c") == second


async def test_a_page_commits_once(database: Database, jobs: PostgresJobs) -> None:
    """A page that is sent again finds that the cursor has moved, and changes nothing (R13)."""
    job = await jobs.start("c", total=2)
    after = await jobs.insert_page(job, [point(1)], 2)
    with pytest.raises(StaleEpoch):
        await jobs.insert_page(job, [point(1), point(5)], 9)
    assert await jobs.get("c") == after
    assert await stored(database, 5) == {}


async def test_a_run_is_resumed_where_it_ended(jobs: PostgresJobs) -> None:
    """Cursor and counts survive; the total is counted anew; done stays done until a restart."""
    job = await jobs.insert_page(await jobs.start("c", total=3), [point(1)], 2)
    job = await jobs.start("c", total=4)
    assert (job.attempt, job.cursor, job.copied, job.total) == (2, 2, 1, 4)
    done = await jobs.insert_page(job, [point(2)], None)
    assert await jobs.start("c", total=9) == done
    again = await jobs.start("c", total=9, restart=True)
    assert again == Job("c", done.generation, 3, JobState.RUNNING, total=9)


async def test_a_failed_job_says_why_and_can_be_resumed(jobs: PostgresJobs) -> None:
    """The reason is stored by the run that failed only, and cleared by the next one."""
    first = await jobs.start("c", total=1)
    failed = await jobs.finish(first, error="the source is down")
    assert failed == await jobs.get("c")
    assert (failed.state, failed.error) == (JobState.FAILED, "the source is down")
    second = await jobs.start("c", total=1)
    assert (second.state, second.error) == (JobState.RUNNING, None)
    await jobs.finish(first, error="too late")
    assert await jobs.get("c") == second


async def test_a_dropped_collection_takes_its_job_along(
    database: Database, jobs: PostgresJobs
) -> None:
    """A run of the old collection cannot write into a new one of the same name."""
    store = PgStore(database)
    old = await jobs.start("c", total=1)
    await store.delete_collection("c")
    with pytest.raises(StaleEpoch):
        await jobs.insert_page(old, [point(1)], None)
    with pytest.raises(CollectionNotFound):
        await jobs.start("c", total=1)
    await store.create_collection("c", CONFIG)
    assert await jobs.get("c") is None
    new = await jobs.start("c", total=1)
    assert new.attempt == old.attempt
    with pytest.raises(StaleEpoch):
        await jobs.insert_page(old, [point(1)], None)
    assert await stored(database, 1) == {}


async def test_pages_and_drops_do_not_deadlock(database: Database, jobs: PostgresJobs) -> None:
    """A drop waits for the page that is under way; one page later the run is told."""
    store = PgStore(database)
    job = await jobs.start("c", total=None)

    async def pages() -> None:
        nonlocal job
        for start in range(0, 10_000, 50):
            batch = [point(i) for i in range(start, start + 50)]
            job = await jobs.insert_page(job, batch, start + 50)

    async with asyncio.TaskGroup() as both:
        run = both.create_task(_until_replaced(pages()))
        await asyncio.sleep(0.05)
        assert await store.delete_collection("c")
    assert run.result() is True
    assert job.scanned > 0


async def _until_replaced(pages: Awaitable[None]) -> bool:
    try:
        await pages
    except StaleEpoch:
        return True
    return False
