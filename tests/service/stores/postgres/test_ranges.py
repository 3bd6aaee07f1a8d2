"""Claims of ranges, and pages that commit with their progress."""

import asyncio
from collections.abc import Awaitable
from uuid import UUID, uuid4

import numpy as np
import pytest

from backfill.jobs import Claim, JobKind, JobState, Options
from backfill.key_range import KeyRange
from backfill.queue import Advance, Refused
from service.errors import StageError, StaleEpoch, TargetUnavailable, WrongInput
from service.model.ids import encode_key
from service.model.points import Point
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.store import PgStore
from tests.service.stores.postgres.jobs_rig import CONFIG, KINDS, Queue, point

TEXT_ID = "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"


@pytest.fixture
async def queue(database: Database) -> Queue:
    """A queue on a database that has the empty collection ``c``."""
    return await Queue.on(database)


def to(next_id: int | str | None, scanned: int = 1) -> Advance:
    """Return the progress of a page that is followed by this id."""
    return Advance(None if next_id is None else encode_key(next_id), scanned=scanned, bytes=10)


async def test_a_range_advances_with_its_pages(queue: Queue) -> None:
    """Pages are inserted, the cursor moves on, and a worker is told what there is to know."""
    job = await queue.running(options=Options(points_per_second=5.0))
    claim = await queue.claim()
    assert (claim.job, claim.number, claim.attempt, claim.cursor) == (job.id, 0, 1, None)
    assert claim.options == Options(points_per_second=5.0)
    claim, orders = await queue.ranges.insert_page(claim, [point(2), point(1)], to(TEXT_ID, 2))
    assert (claim.cursor, claim.written, claim.scanned, claim.bytes) == (
        encode_key(TEXT_ID),
        2,
        2,
        10,
    )
    assert orders.goes_on
    assert (orders.options.points_per_second, orders.workers) == (5.0, 1)
    claim, _ = await queue.ranges.insert_page(claim, [point(TEXT_ID)], to(None))
    assert (claim.cursor, claim.written, claim.scanned) == (None, 3, 3)
    assert await queue.stored(1, 2, TEXT_ID) == dict.fromkeys([1, 2, TEXT_ID], "backfill")
    assert (await queue.latest()).state is JobState.FINISHING


async def test_live_rows_and_tombstones_stay(queue: Queue, database: Database) -> None:
    """A point that a live write brought is kept, and one that it deleted does not come back."""
    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        await writes.mirror(connection, tables, [point(1, "live")], [2])
    await queue.running()
    page = [point(1), point(2), point(3)]
    claim, _ = await queue.ranges.insert_page(await queue.claim(), page, to(None, 3))
    assert (claim.scanned, claim.written) == (3, 1)
    assert await queue.stored(1, 2, 3) == {1: "live", 3: "backfill"}


async def test_claims_never_overlap(queue: Queue) -> None:
    """Twenty workers that ask at once for twelve ranges get twelve different ones, in few rounds."""
    await queue.running(*range(10, 120, 10))
    workers = [uuid4() for _ in range(20)]
    claims: list[Claim] = []
    for _ in range(20):
        found = await asyncio.gather(*(queue.ranges.claim(each, KINDS) for each in workers))
        claims += [claim for claim in found if claim is not None]
        if len(claims) >= 12:
            break
    assert sorted(claim.number for claim in claims) == list(range(12))
    assert (await queue.latest()).workers == 12


async def test_other_kinds_are_left_alone(queue: Queue) -> None:
    """A worker that copies does not claim what is to be verified."""
    await queue.running()
    assert await queue.ranges.claim(queue.owner, [JobKind.VERIFY]) is None


async def test_a_replaced_worker_writes_nothing(queue: Queue) -> None:
    """After its lease has ended another one has the range; the page of the first is refused as a whole (R13)."""
    await queue.running()
    first = await queue.claim()
    assert await queue.ranges.claim(uuid4(), KINDS) is None
    await queue.silence()
    second_owner = uuid4()
    second = await queue.claim(second_owner)
    assert (second.number, second.attempt) == (first.number, first.attempt + 1)
    late: list[Awaitable[object]] = [
        queue.ranges.insert_page(first, [point(1)], to(2), [Refused(encode_key(5), "too long")]),
        queue.ranges.advance(first, to(2)),
        queue.ranges.renew(first, queue.owner, None),
        queue.ranges.give_up(first, "late"),
    ]
    for each in late:
        with pytest.raises(StaleEpoch):
            await each
    await queue.ranges.release(first, queue.owner)
    assert await queue.ranges.claim(uuid4(), KINDS) is None
    assert await queue.stored(1) == {}
    claim, _ = await queue.ranges.insert_page(second, [point(1)], to(None))
    assert claim.scanned == 1
    assert (await queue.latest()).state is JobState.FINISHING


async def test_a_page_commits_once(queue: Queue) -> None:
    """A page that is sent again finds that the cursor has moved, and changes nothing (R13)."""
    await queue.running()
    claim = await queue.claim()
    await queue.ranges.insert_page(claim, [point(1)], to(2))
    with pytest.raises(StaleEpoch):
        await queue.ranges.insert_page(claim, [point(1), point(5)], to(9))
    assert (await queue.latest()).scanned == 1
    assert await queue.stored(5) == {}


async def test_a_range_that_is_given_back_comes_last(queue: Queue) -> None:
    """So that one that cannot go on keeps none of the others waiting; the next worker need not wait for a lease."""
    await queue.running(10, 20)
    claim = await queue.claim()
    claim, _ = await queue.ranges.insert_page(claim, [point(1)], to(2))
    await queue.ranges.release(claim, queue.owner)
    numbers = [(await queue.claim()).number for _ in range(2)]
    assert numbers == [1, 2]
    again = await queue.claim()
    assert (again.number, again.cursor, again.attempt) == (0, encode_key(2), 2)


async def test_a_job_that_cannot_go_on_does_not_keep_younger_ones_waiting(queue: Queue) -> None:
    """A range that was given back with a reason comes after the other jobs' ranges; one without stays in its place."""
    await queue.running()
    await PgStore(queue.database).create_collection("younger", CONFIG)
    await queue.jobs.start(JobKind.BACKFILL, "younger", Options())
    step = await queue.jobs.claim_step(queue.owner, KINDS)
    assert step is not None
    await queue.jobs.prepared(step, [KeyRange()], None)
    tuned = await queue.claim()
    await queue.ranges.release(tuned, queue.owner)
    failed = await queue.claim()
    assert failed.collection == "c"
    await queue.ranges.release(failed, queue.owner, "the source is not available")
    assert [(await queue.claim()).collection for _ in range(2)] == ["younger", "c"]
    assert (await queue.latest()).note is None


async def test_a_clock_that_was_set_back_keeps_no_lease_alive(queue: Queue) -> None:
    """What was heard in the future by its holder is not waited for until then."""
    await queue.running()
    first = await queue.claim()
    async with queue.database.connection() as connection:
        await connection.execute(
            "UPDATE vecferry.job_ranges SET heard_at = now() + interval '1 hour'"
        )
    assert (await queue.latest()).workers == 0
    assert (await queue.claim(uuid4())).attempt == first.attempt + 1


async def test_nothing_is_copied_from_a_source_that_is_no_longer_right(queue: Queue) -> None:
    """It lags behind the target then, or was left: what it still has may be gone for good."""
    await queue.running()
    claim = await queue.claim()
    async with queue.database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.control (name, stage, generation) VALUES ('c', 'shadow', $1)",
            claim.generation,
        )
        claim, _ = await queue.ranges.insert_page(claim, [point(1)], to(2))
        await connection.execute("UPDATE vecferry.control SET stage = 'live' WHERE name = 'c'")
    with pytest.raises(StageError, match="stage live"):
        await queue.ranges.insert_page(claim, [point(2)], to(3))
    assert await queue.stored(1, 2) == {1: "backfill"}


async def test_claims_and_drops_do_not_deadlock(queue: Queue, database: Database) -> None:
    """A drop has the job before its ranges; a claim that counts the job's workers has the range first."""
    await queue.running(*range(10, 300, 10), options=Options(workers=25))
    owners = [uuid4() for _ in range(4)]

    async def claims(owner: UUID) -> None:
        for _ in range(6):
            await queue.ranges.claim(owner, KINDS)

    for _ in range(5):
        async with asyncio.TaskGroup() as all_at_once:
            for owner in owners:
                all_at_once.create_task(claims(owner))
            await asyncio.sleep(0)
            async with database.transaction() as connection:
                assert await catalog.drop(connection, "c")
        await PgStore(database).create_collection("c", CONFIG)
        await queue.running(*range(10, 300, 10), options=Options(workers=25))


async def test_new_ranges_come_before_abandoned_ones(queue: Queue) -> None:
    """Whoever was silent may still be alive; others are free for certain."""
    await queue.running(10)
    await queue.claim()
    await queue.silence()
    assert [(await queue.claim(uuid4())).number for _ in range(2)] == [1, 0]


async def test_a_heartbeat_keeps_the_range_and_brings_the_orders(queue: Queue) -> None:
    """Its note is what the job says that it waits for."""
    job = await queue.running(10)
    claim, other = await queue.claim(), await queue.claim()
    await queue.silence()
    orders = await queue.ranges.renew(claim, queue.owner, "target latency 412 ms > 250 ms")
    assert (orders.goes_on, orders.workers) == (True, 1)
    seen = await queue.latest()
    assert (seen.note, seen.workers) == ("target latency 412 ms > 250 ms", 1)
    assert (await queue.claim(uuid4())).number == other.number
    await queue.jobs.tune(job.id, {"paused": True})
    assert not (await queue.ranges.renew(claim, queue.owner, None)).goes_on
    await queue.jobs.tune(job.id, {"paused": False, "workers": 1})
    assert not (await queue.ranges.renew(claim, queue.owner, None)).goes_on


async def test_who_has_done_a_range_may_wait_on(queue: Queue) -> None:
    """The pause after its last page counts for the rate; it ends with the job's last range."""
    await queue.running(10)
    first, second = await queue.claim(), await queue.claim()
    await queue.ranges.advance(first, to(None, 0))
    assert (await queue.ranges.renew(first, queue.owner, "5 points/s")).goes_on
    assert (await queue.latest()).workers == 1
    await queue.ranges.advance(second, to(None, 0))
    assert not (await queue.ranges.renew(first, queue.owner, None)).goes_on


async def test_no_more_workers_than_the_operator_allows(queue: Queue) -> None:
    """Also when many ask at once; a place that is given back is taken again."""
    await queue.running(10, 20, 30, 40, options=Options(workers=2))
    held: dict[UUID, Claim] = {}
    for _ in range(6):
        workers = [uuid4() for _ in range(8)]
        found = await asyncio.gather(*(queue.ranges.claim(each, KINDS) for each in workers))
        held |= {
            each: claim for each, claim in zip(workers, found, strict=True) if claim is not None
        }
        assert len(held) <= 2
    assert len(held) == 2
    assert (await queue.latest()).workers == 2
    owner, claim = held.popitem()
    await queue.ranges.release(claim, owner)
    await queue.claim(uuid4())


async def test_the_last_two_ranges_may_end_at_once(queue: Queue) -> None:
    """Each sees the other's end, or waits for it: one of them brings the job to its last step."""
    for _ in range(10):
        job = await queue.running(10, 20, 30)
        claims = [await queue.claim() for _ in range(4)]
        await asyncio.gather(*(queue.ranges.insert_page(each, [], to(None, 0)) for each in claims))
        assert (await queue.latest()).state is JobState.FINISHING
        await queue.jobs.cancel(job.id)


async def test_refused_points_are_found_and_kept(queue: Queue) -> None:
    """The page is refused as a whole; exactly the points that do not fit are named, and listed with the page."""
    await queue.running()
    claim = await queue.claim()
    bad = [
        Point(3, {"": point(3).vectors[""]}, {"s": "a\0b"}),
        Point(5, {"": np.ones(1, np.float32)}, {}),
        Point(7, {"other": point(7).vectors[""]}, {}),
        Point(8, {"": point(8).vectors[""]}, {"s": "\ud800"}),
    ]
    good = [point(number) for number in (1, 2, 4, 6)]
    page = sorted([*good, *bad], key=lambda each: encode_key(each.id))
    with pytest.raises(WrongInput):
        await queue.ranges.insert_page(claim, page, to(None, 8))
    refused = await queue.ranges.refused_of(claim, page)
    assert {each.key for each in refused} == {encode_key(each.id) for each in bad}
    assert all(each.reason for each in refused)
    assert await queue.stored(1, 2, 4, 6) == {}
    claim, _ = await queue.ranges.insert_page(claim, good, to(None, 8), refused)
    assert (claim.scanned, claim.written) == (8, 4)
    async with queue.database.connection() as connection:
        rows = await connection.fetch("SELECT key, found_by FROM vecferry.quarantine ORDER BY key")
    assert [(r["key"], r["found_by"]) for r in rows] == [
        (encode_key(p.id), "backfill") for p in bad
    ]


async def test_a_page_of_nothing_but_refused_points_is_searched_to_the_end(queue: Queue) -> None:
    """Halving gives up after many tries; a backfill has to know of each."""
    await queue.running()
    claim = await queue.claim()
    bad = [Point(number, {}, {"s": "\0"}) for number in range(300)]
    assert len(await queue.ranges.refused_of(claim, bad)) == 300


async def test_nothing_is_refused_while_the_collection_is_changed(queue: Queue) -> None:
    """A vector that the source got a moment ago is unknown to the target until its intent is settled (R10)."""
    await queue.running()
    claim = await queue.claim()
    async with queue.database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.collection_intents (id, name, owner, behind, replaces, cause)"
            " VALUES (gen_random_uuid(), 'c', gen_random_uuid(), 'target', false, 'test')"
        )
    with pytest.raises(TargetUnavailable):
        await queue.ranges.refused_of(claim, [point(1)])


async def test_a_dropped_collection_takes_its_ranges_along(
    queue: Queue, database: Database
) -> None:
    """A worker of the old collection cannot write into a new one of the same name."""
    store = PgStore(database)
    await queue.running()
    old = await queue.claim()
    await store.delete_collection("c")
    await store.create_collection("c", CONFIG)
    await queue.running()
    for late in (
        queue.ranges.insert_page(old, [point(1)], to(None)),
        queue.ranges.advance(old, to(None)),
        queue.ranges.refused_of(old, [point(1)]),
        queue.ranges.renew(old, queue.owner, None),
    ):
        with pytest.raises(StaleEpoch):
            await late
    assert await queue.stored(1) == {}
    assert (await queue.latest()).state is JobState.RUNNING


async def test_pages_and_drops_do_not_deadlock(queue: Queue, database: Database) -> None:
    """A drop waits for the pages that are under way, refused points and all; one page later the workers are told."""
    await queue.running(1_000_000)
    claims = [await queue.claim(), await queue.claim()]

    async def pages(claim: Claim) -> bool:
        first = claim.number * 1_000_000
        try:
            for start in range(first, first + 100_000, 50):
                batch = [point(number) for number in range(start, start + 49)]
                refused = [Refused(encode_key(start + 49), "spoiled")]
                claim, _ = await queue.ranges.insert_page(claim, batch, to(start + 50), refused)
        except StaleEpoch:
            return True
        return False

    async with asyncio.TaskGroup() as all_at_once:
        runs = [all_at_once.create_task(pages(claim)) for claim in claims]
        await asyncio.sleep(0.1)
        assert await PgStore(database).delete_collection("c")
    assert [run.result() for run in runs] == [True, True]


async def test_a_changed_collection_is_looked_up_again(queue: Queue, database: Database) -> None:
    """What the queue knows of the tables is asked for anew when the catalogue's row has changed."""
    await queue.running()
    claim, _ = await queue.ranges.insert_page(await queue.claim(), [point(1)], to(2))
    async with database.transaction() as connection:
        await connection.execute("UPDATE vecferry.collections SET vectors = '{}' WHERE name = 'c'")
    with pytest.raises(WrongInput, match="Not existing vector name"):
        await queue.ranges.insert_page(claim, [point(2)], to(3))


async def test_a_vector_that_is_dropped_meanwhile_costs_the_page(
    queue: Queue, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its table is gone although the catalogue had it a moment ago: the worker drops the page, the job goes on."""
    await queue.running()
    claim = await queue.claim()
    real = PostgresRanges._held

    async def overtaken(
        self: PostgresRanges, connection: Connection, claim: Claim
    ) -> tuple[catalog.CollectionTables, bool]:
        tables, has_refused = await real(self, connection, claim)
        async with database.connection() as other:
            await other.execute(f"DROP TABLE {tables.vectors[''].table.quoted()}")
        return tables, has_refused

    monkeypatch.setattr(PostgresRanges, "_held", overtaken)
    with pytest.raises(StaleEpoch):
        await queue.ranges.insert_page(claim, [point(1)], to(2))
    assert (await queue.latest()).state is JobState.RUNNING
