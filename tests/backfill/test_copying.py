"""Backfills between a real Qdrant engine and a real Postgres."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from uuid import UUID, uuid4

import asyncpg
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from backfill.conductor import Conductor
from backfill.jobs import Claim, Job, JobKind, JobState, Options, Orders
from backfill.key_range import KeyRange
from backfill.queue import Advance, Note, Refused
from backfill.timing import Timing
from backfill.worker import Worker
from service.errors import SourceUnavailable, StoreAnswered, StoreError, TargetUnavailable
from service.model.ids import encode_key
from service.model.operations import (
    ByFilter,
    ByIds,
    Delete,
    DeletePayload,
    OverwritePayload,
    SetPayload,
    Upsert,
)
from service.model.points import Hit, Page, Point
from service.model.qdrant import (
    CreateCollection,
    Distance,
    Filter,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    VectorParams,
)
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.ranges import PostgresRanges
from service.stores.qdrant.store import QdrantStore
from tests.backfill.equality import assert_equal, contents
from tests.backfill.rig import AtOnce, Rig, fill, rig_on
from tests.service.running import running


@pytest.fixture
async def rig(qdrant_url: str, collection_name: str, database: Database) -> AsyncIterator[Rig]:
    """A source of 60 points of every kind, and an empty target."""
    async with rig_on(qdrant_url, collection_name, database) as made:
        await fill(made)
        yield made


async def test_a_copy_is_equal(rig: Rig) -> None:
    """After a backfill every point, with all its vectors and its payload, is the same in both."""
    job = await rig.backfill()
    assert (job.state, job.error) == (JobState.DONE, None)
    assert (job.scanned, job.written, job.total) == (60, 60, 60)
    assert job.bytes > 60 * 8 * 4
    assert job.result == {"indexes": [{"vector": "text", "rows": 0}]}
    assert rig.backfilled == [job.generation]
    await assert_equal(rig.source, rig.target, rig.name)


async def test_an_empty_collection_is_done(rig: Rig) -> None:
    """There is nothing to copy, and that is a finished job."""
    await rig.source.apply(rig.name, Delete(ByFilter(Filter())), wait=True)
    job = await rig.backfill()
    assert (job.state, job.scanned, job.total, job.ranges) == (JobState.DONE, 0, 0, 1)


async def test_float16_is_copied_bit_by_bit(rig: Rig) -> None:
    """It was normalised before it was rounded; once more would change it."""
    await rig.backfill()
    ids = list(range(1, 60, 2))
    request = PointRequest(ids=list(ids), with_payload=False, with_vector=["half", "rows"])
    theirs = await rig.source.retrieve(rig.name, request)
    ours = await rig.target.retrieve(rig.name, request)
    assert len(ours) == len(ids)
    for one, other in zip(theirs, ours, strict=True):
        for name, vector in (one.vectors or {}).items():
            copy = (other.vectors or {})[name]
            assert isinstance(vector, np.ndarray)
            assert isinstance(copy, np.ndarray)
            assert np.array_equal(vector, copy)


async def test_ranges_are_read_to_their_ends_and_no_further(rig: Rig) -> None:
    """Many workers, ranges cut between and at points: each point is scanned exactly once."""
    cuts = [encode_key(7), encode_key(8), encode_key("00000000-0000-0000-0000-000000000010")]
    edges = [None, *cuts, encode_key("ffffffff-0000-0000-0000-000000000000"), None]

    class Cut:
        """Steps that split where the test wants it."""

        async def prepare(self, job: object, note: Note) -> tuple[Sequence[KeyRange], int]:
            return [KeyRange(*edges[at : at + 2]) for at in range(len(edges) - 1)], 60

        async def finish(self, job: object, note: Note) -> dict[str, object]:
            return {}

    async with rig.process(steps=Cut(), concurrency=3):
        await rig.start()
        job = await rig.ended()
    assert (job.state, job.ranges, job.scanned, job.written) == (JobState.DONE, 5, 60, 60)
    await assert_equal(rig.source, rig.target, rig.name)


class Watched(PostgresRanges):
    """Calls ``before`` with the number of each page before it is inserted."""

    def __init__(self, rig: Rig, before: Callable[[int], Awaitable[None]]) -> None:
        super().__init__(rig.database)
        self._before = before
        self.pages = 0

    async def insert_page(
        self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
    ) -> tuple[Claim, Orders]:
        self.pages += 1
        await self._before(self.pages)
        return await super().insert_page(claim, points, after, refused)


@pytest.mark.parametrize("pages", [1, 4, 8])
async def test_a_stopped_worker_gives_its_range_back(rig: Rig, pages: int) -> None:
    """Another one goes on at the page where it was stopped, long before the lease would have ended."""
    reached = asyncio.Event()

    async def stop_here(page: int) -> None:
        if page == pages:
            reached.set()
            await asyncio.Event().wait()

    async with rig.process(work=rig.copy_work(queue=Watched(rig, stop_here))):
        await rig.start()
        await reached.wait()
    stopped = await rig.latest()
    assert (stopped.state, stopped.workers) == (JobState.RUNNING, 0)
    assert stopped.scanned == min(7 * (pages - 1), 60)
    async with rig.process():
        job = await rig.ended()
    assert (job.id, job.scanned, job.written) == (stopped.id, 60, 60)
    await assert_equal(rig.source, rig.target, rig.name)


async def test_a_point_deleted_meanwhile_does_not_come_back(rig: Rig) -> None:
    """Live deletions and updates after a page was read are stronger than its copy."""

    async def write_live(page: int) -> None:
        await rig.source.apply(rig.name, Delete(ByIds((51, 57))), wait=True)
        await rig.source.apply(rig.name, OverwritePayload(ByIds((59,)), {"live": 1}), wait=True)
        request = PointRequest(ids=[59], with_payload=True, with_vector=True)
        (live,) = await rig.source.retrieve(rig.name, request)
        async with rig.database.transaction() as connection:
            tables = await catalog.get(connection, rig.name)
            mirrored = Point(59, live.vectors or {}, live.payload or {})
            await writes.mirror(connection, tables, [mirrored], [51, 57])

    work = rig.copy_work(queue=Watched(rig, write_live), points=100)
    async with rig.process(work=work):
        await rig.start()
        job = await rig.ended()
    assert job.state is JobState.DONE
    # The ids that were read before they were deleted are counted as read.
    assert job.scanned - job.written == 3 - (60 - job.scanned)
    await assert_equal(rig.source, rig.target, rig.name)
    assert (await contents(rig.target, rig.name))[59][0] == {"live": 1}


async def test_what_the_target_cannot_hold_is_quarantined(rig: Rig) -> None:
    """A NUL does not fit into jsonb: exactly those points are listed, each with the reason; the rest is copied."""
    spoiled = (31, 33, 59)
    await rig.source.apply(rig.name, SetPayload(ByIds(spoiled), {"s": chr(0)}), wait=True)
    job = await rig.backfill()
    assert (job.state, job.scanned, job.written) == (JobState.DONE, 60, 57)
    async with rig.database.connection() as connection:
        rows = await connection.fetch("SELECT key, reason FROM vecferry.quarantine ORDER BY key")
    assert [row["key"] for row in rows] == [encode_key(each) for each in spoiled]
    said = "unsupported Unicode escape sequence: \\u0000 cannot be converted to text"
    assert {row["reason"] for row in rows} == {f"Wrong input: {said}"}
    await rig.source.apply(rig.name, DeletePayload(ByIds(spoiled), ("s",)), wait=True)
    async with rig.process():
        await rig.start(restart=True)
        assert (await rig.ended()).written == 3
    await assert_equal(rig.source, rig.target, rig.name)


async def test_a_refused_point_is_read_once_more(rig: Rig) -> None:
    """What was wrong with it may have been mended since, and then it is no case for the quarantine."""
    await rig.source.apply(rig.name, SetPayload(ByIds((31,)), {"s": chr(0)}), wait=True)
    await rig.source.apply(rig.name, SetPayload(ByIds((33,)), {"s": chr(0)}), wait=True)

    class Mended(PostgresRanges):
        async def refused_of(self, claim: Claim, points: Sequence[Point]) -> Sequence[Refused]:
            await rig.source.apply(rig.name, DeletePayload(ByIds((31,)), ("s",)), wait=True)
            await rig.source.apply(rig.name, Delete(ByIds((33,))), wait=True)
            return await super().refused_of(claim, points)

    async with rig.process(work=rig.copy_work(queue=Mended(rig.database), points=100)):
        await rig.start()
        job = await rig.ended()
    assert job.state is JobState.DONE
    await assert_equal(rig.source, rig.target, rig.name)
    async with rig.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM vecferry.quarantine") == 0


class Moody(QdrantStore):
    """The source, which raises ``errors`` from the third page on, in order."""

    def __init__(self, source: QdrantStore, errors: Sequence[Exception]) -> None:
        super().__init__(source._http)
        self._errors = list(errors)
        self.reads = 0

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        self.reads += 1
        if self.reads > 2 and self._errors:
            raise self._errors.pop(0)
        return await super().scroll(collection, request)


async def test_the_next_page_is_asked_for_while_one_is_written(rig: Rig) -> None:
    """Reading and writing overlap: no page but the last is in before the scroll behind it is under way."""
    source = Moody(rig.source, [])

    async def wait_for_the_next(page: int) -> None:
        async with asyncio.timeout(10):
            while page < pages and source.reads <= page:  # noqa: ASYNC110 - the source tells nobody
                await asyncio.sleep(0.001)

    pages = math.ceil(60 / 7)
    queue = Watched(rig, wait_for_the_next)
    async with rig.process(work=rig.copy_work(source=source, queue=queue)):
        await rig.start()
        job = await rig.ended()
    assert (job.state, job.written, queue.pages) == (JobState.DONE, 60, pages)


async def test_pages_and_points_are_counted(rig: Rig) -> None:
    """Read ones and new ones apart: a point that a live write brought is not copied."""
    page = await rig.source.scroll(rig.name, ScrollRequest(limit=3, with_vector=True))
    points = [Point(r.id, r.vectors or {}, r.payload or {}) for r in page.records]
    await rig.target.apply(rig.name, Upsert(points), wait=True)
    registry = CollectorRegistry()
    async with rig.process(work=rig.copy_work(registry=registry)):
        await rig.start()
        assert (await rig.ended()).written == 57
    counted = {
        name: registry.get_sample_value(f"vecferry_backfill_{name}")
        for name in ("pages_total", "points_scanned_total", "points_copied_total", "page_seconds_count")
    }  # fmt: skip
    assert counted == {
        "pages_total": 9, "points_scanned_total": 60, "points_copied_total": 57,
        "page_seconds_count": 9,
    }  # fmt: skip


async def test_a_source_that_comes_back_is_waited_for(rig: Rig) -> None:
    """However often it fails: the job says why it waits, and goes on where it was."""
    away = [SourceUnavailable("is down"), StoreAnswered(503, b"busy")] * 6
    moody = Moody(rig.source, away)
    notes: list[str | None] = []

    async def watch() -> None:
        while True:
            notes.append((await rig.latest()).note)
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as tasks:
        async with rig.process(work=rig.copy_work(source=moody)):
            await rig.start()
            watching = tasks.create_task(watch())
            job = await rig.ended()
        watching.cancel()
    assert (job.state, job.scanned, job.written) == (JobState.DONE, 60, 60)
    said = " ".join(note for note in notes if note is not None)
    assert "is down" in said or "503" in said
    assert "next try after" in said


async def test_a_target_that_is_full_is_waited_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to start the job again when there is room; the range says what for, also between two tries."""
    real, failures = writes.insert_missing, 4
    said: list[str | None] = []
    said_between: list[str | None] = []

    async def full(
        connection: Connection, tables: catalog.CollectionTables, points: Sequence[Point]
    ) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise asyncpg.DiskFullError("could not extend file: No space left on device")
        return await real(connection, tables, points)

    class Heard(PostgresRanges):
        async def renew(self, claim: Claim, owner: UUID, note: str | None) -> Orders:
            said.append(note)
            return await super().renew(claim, owner, note)

        async def release(self, claim: Claim, owner: UUID, note: str | None = None) -> None:
            said_between.append(note)
            await super().release(claim, owner, note)

    monkeypatch.setattr(writes, "insert_missing", full)
    slow = Timing(heartbeat=0.02, first_idle=0.02, longest_idle=0.1, first_pause=0.1)
    queue = Heard(rig.database)
    worker = Worker(
        {JobKind.BACKFILL: rig.copy_work(queue=queue)}, queue, uuid4(), bell=rig.bell, timing=slow
    )
    conductor = Conductor(
        {JobKind.BACKFILL: rig.copy_steps()}, rig.jobs, uuid4(), bell=rig.bell, timing=slow
    )
    async with running(worker.run(), conductor.run()):
        await rig.start()
        job = await rig.ended()
    assert (job.state, job.scanned, failures) == (JobState.DONE, 60, 0)
    assert any("No space left on device; next try after" in (note or "") for note in said)
    assert sum("No space left on device" in (note or "") for note in said_between) == 4


async def test_an_answer_that_blames_the_request_fails_the_job(rig: Rig) -> None:
    """Waiting would not help; started again it goes on where it was."""
    moody = Moody(rig.source, [StoreAnswered(400, b"no such shard")])
    async with rig.process(work=rig.copy_work(source=moody)):
        await rig.start()
        failed = await rig.ended()
        assert failed.state is JobState.FAILED
        assert "no such shard" in (failed.error or "")
        assert 0 < failed.scanned < 60
        assert (await rig.start()).id == failed.id
        assert (await rig.ended()).scanned == 60
    await assert_equal(rig.source, rig.target, rig.name)


async def test_a_fault_of_ours_fails_the_job_and_not_the_worker(rig: Rig) -> None:
    """The next job is worked on."""
    moody = Moody(rig.source, [ZeroDivisionError("oops")])
    async with rig.process(work=rig.copy_work(source=moody)):
        await rig.start()
        failed = await rig.ended()
        assert failed.error == "internal error: ZeroDivisionError: oops"
        await rig.start()
        assert (await rig.ended()).state is JobState.DONE


async def test_a_commit_whose_answer_is_lost_is_not_made_twice(rig: Rig) -> None:
    """The stored cursor says whether the page is in."""

    class Forgetful(PostgresRanges):
        pages = 0

        async def insert_page(
            self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
        ) -> tuple[Claim, Orders]:  # fmt: skip
            answer = await super().insert_page(claim, points, after, refused)
            self.pages += 1
            if self.pages % 3 == 0:
                raise TargetUnavailable("dropped the connection")
            return answer

    async with rig.process(work=rig.copy_work(queue=Forgetful(rig.database))):
        await rig.start()
        job = await rig.ended()
    assert (job.state, job.scanned, job.written) == (JobState.DONE, 60, 60)


async def test_a_source_that_goes_in_circles_is_found_out(rig: Rig) -> None:
    """A page that is not followed by a higher id would be read for ever."""

    class Circling(Moody):
        async def scroll(self, collection: str, request: ScrollRequest) -> Page:
            page = await super().scroll(collection, request)
            return Page(page.records, page.records[0].id)

    async with rig.process(work=rig.copy_work(source=Circling(rig.source, []))):
        await rig.start()
        failed = await rig.ended()
    assert failed.state is JobState.FAILED
    assert "is followed by the id 1" in (failed.error or "")


async def test_pause_and_resume(rig: Rig) -> None:
    """A paused job is given up by its workers at the next page, or heartbeat, and goes on later."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait_here(page: int) -> None:
        if page == 3:
            reached.set()
            await go_on.wait()

    async with rig.process(work=rig.copy_work(queue=Watched(rig, wait_here))):
        job = await rig.start()
        await reached.wait()
        await rig.jobs.tune(job.id, {"paused": True})
        async with asyncio.timeout(5):
            while (await rig.latest()).workers:  # noqa: ASYNC110 - seen in the database only
                await asyncio.sleep(0.01)
        assert (await rig.latest()).scanned == 14
        go_on.set()
        await rig.jobs.tune(job.id, {"paused": False})
        rig.bell.ring()
        assert (await rig.ended()).scanned == 60


async def test_many_ranges_and_a_source_that_draws_no_samples(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With samples the ids are split; without, one range holds all of them. Both copy everything."""
    monkeypatch.setattr("backfill.splitting._POINTS_PER_RANGE", 8)
    async with rig.process(concurrency=4):
        await rig.start()
        job = await rig.ended()
    assert (job.state, job.ranges, job.scanned) == (JobState.DONE, 8, 60)
    await assert_equal(rig.source, rig.target, rig.name)

    class Old(Moody):
        async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
            raise StoreAnswered(400, b"unknown variant `sample`")

    async with rig.process(steps=rig.copy_steps(Old(rig.source, []))):
        await rig.start(restart=True)
        job = await rig.ended()
    assert (job.state, job.ranges, job.scanned, job.written) == (JobState.DONE, 1, 60, 0)


async def test_pages_fit_the_weight_of_points(
    qdrant_url: str, collection_name: str, database: Database
) -> None:
    """Wide vectors come in small pages, and a heavy payload makes the next page smaller."""
    config = CreateCollection(vectors=VectorParams(size=4096, distance=Distance.DOT))
    async with rig_on(qdrant_url, collection_name, database, config) as rig:
        vector = np.ones(4096, np.float32)
        points = [Point(number, {"": vector}, {}) for number in range(400)]
        await rig.source.apply(rig.name, Upsert(points[:200]), wait=True)
        await rig.source.apply(rig.name, Upsert(points[200:]), wait=True)
        pace = AtOnce()
        async with rig.process(work=rig.copy_work(pace=pace, points=1000)):
            await rig.start(Options(page_bytes=512 * 1024))
            job = await rig.ended()
    assert (job.state, job.scanned) == (JobState.DONE, 400)
    assert max(pace.pages) == 32
    assert job.bytes == 400 * (4096 * 4 + len("{}"))


async def test_steps_are_tried_again(rig: Rig) -> None:
    """A source that is away while the job is prepared, a target while it ends: the step waits and says why."""
    failures: list[StoreError] = [SourceUnavailable("is down"), TargetUnavailable("is down")]

    class Shaky:
        def __init__(self) -> None:
            self._steps = rig.copy_steps()

        async def prepare(self, job: Job, note: Note) -> tuple[Sequence[KeyRange], int | None]:
            if len(failures) > 1:
                raise failures.pop(0)
            return await self._steps.prepare(job, note)

        async def finish(self, job: Job, note: Note) -> Mapping[str, object]:
            if failures:
                raise failures.pop(0)
            return await self._steps.finish(job, note)

    async with rig.process(steps=Shaky()):
        await rig.start()
        job = await rig.ended()
    assert (job.state, failures) == (JobState.DONE, [])
