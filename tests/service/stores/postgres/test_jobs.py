"""Jobs and their steps in Postgres."""

import asyncio
from uuid import UUID, uuid4

import pytest

from backfill.jobs import Job, JobKind, JobState, Options
from backfill.key_range import KeyRange
from backfill.queue import Advance, Suspect
from service.errors import CollectionNotFound, StaleEpoch
from service.model.ids import encode_key
from service.stores.postgres import migrate
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import _KEPT, PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.store import PgStore
from tests.service.stores.postgres.jobs_rig import CONFIG, KINDS, Queue, point

BACKFILL, VERIFY = JobKind.BACKFILL, JobKind.VERIFY


@pytest.fixture
async def queue(database: Database) -> Queue:
    """A queue on a database that has the empty collection ``c``."""
    return await Queue.on(database)


async def claimed(queue: Queue) -> Job:
    """Return the step that is to be done next."""
    job = await queue.jobs.claim_step(queue.owner, list(JobKind))
    assert job is not None
    return job


async def done(queue: Queue) -> Job:
    """Return a backfill without points that is done."""
    await queue.running()
    await queue.ranges.advance(await queue.claim(), Advance(None, scanned=0))
    return await queue.jobs.finished(await claimed(queue), {"indexes": []})


async def test_a_job_goes_through_its_states(queue: Queue) -> None:
    """Preparing, running with ranges, finishing after the last one, done with its result."""
    made = await queue.jobs.start(BACKFILL, "c", Options(workers=2))
    assert (made.state, made.options, made.collection) == (
        JobState.PREPARING,
        Options(workers=2),
        "c",
    )
    job = await queue.jobs.prepared(await claimed(queue), [KeyRange()], 7)
    assert (job.id, job.state, job.total, job.ranges) == (made.id, JobState.RUNNING, 7, 1)
    claim = await queue.claim()
    assert (await queue.latest()).workers == 1
    claim, _ = await queue.ranges.insert_page(
        claim, [point(1), point(2)], Advance(encode_key(3), scanned=2, bytes=80)
    )
    await queue.ranges.insert_page(claim, [point(3)], Advance(None, scanned=1, bytes=40))
    job = await queue.latest()
    assert (job.state, job.scanned, job.written, job.bytes) == (JobState.FINISHING, 3, 3, 120)
    assert (job.ranges_done, job.workers) == (1, 0)
    job = await queue.jobs.finished(await claimed(queue), {"indexes": ["x"]})
    assert (job.state, job.result, job.error) == (JobState.DONE, {"indexes": ["x"]}, None)
    assert job.ended_at is not None
    assert job == await queue.latest()
    assert await queue.jobs.open_jobs() == []


async def test_an_open_job_is_returned(queue: Queue) -> None:
    """However many ask at once, there is one job; another kind has its own."""
    for _ in range(10):
        starts = [queue.jobs.start(BACKFILL, "c", Options()) for _ in range(8)]
        (made,) = {job.id for job in await asyncio.gather(*starts)}
        await queue.jobs.cancel(made)
    first = await queue.jobs.start(BACKFILL, "c", Options())
    other = await queue.jobs.start(VERIFY, "c", Options())
    assert [job.id for job in await queue.jobs.open_jobs()] == [first.id, other.id]
    assert [job.kind for job in await queue.jobs.latest_of_all()] == [BACKFILL, VERIFY]


async def test_a_done_backfill_is_not_begun_again(queue: Queue) -> None:
    """Unless it is asked for; a verification is made anew each time."""
    first = await done(queue)
    assert await queue.jobs.start(BACKFILL, "c", Options()) == first
    again = await queue.jobs.start(BACKFILL, "c", Options(), restart=True)
    assert again.id != first.id
    assert again.state is JobState.PREPARING
    assert (await queue.latest()).id == again.id

    verification = await queue.jobs.start(VERIFY, "c", Options())
    assert (await queue.jobs.cancel(again.id)).state is JobState.CANCELLED
    step = await claimed(queue)
    assert step.id == verification.id
    await queue.jobs.finished(step, {})
    assert (await queue.jobs.start(VERIFY, "c", Options())).id != verification.id


async def test_restart_ends_the_open_job(queue: Queue) -> None:
    """Workers of the old one may write nothing more."""
    old = await queue.running()
    claim = await queue.claim()
    new = await queue.jobs.start(BACKFILL, "c", Options(), restart=True)
    assert new.id != old.id
    with pytest.raises(StaleEpoch):
        await queue.ranges.insert_page(claim, [point(1)], Advance(None, scanned=1))
    assert await queue.stored(1) == {}


async def test_a_failed_job_goes_on_where_it_was(queue: Queue) -> None:
    """Before its ranges, in them and after them; with the options of the new request."""
    await queue.jobs.start(BACKFILL, "c", Options(workers=1))
    failed = await queue.jobs.failed(await claimed(queue), "no such collection")
    assert (failed.state, failed.error) == (JobState.FAILED, "no such collection")
    assert await queue.jobs.claim_step(queue.owner, KINDS) is None
    again = await queue.jobs.start(BACKFILL, "c", Options())
    assert (again.id, again.state, again.error) == (failed.id, JobState.PREPARING, None)
    assert (again.options, again.ended_at) == (Options(), None)

    await queue.jobs.prepared(await claimed(queue), [KeyRange()], None)
    claim = await queue.claim()
    claim, _ = await queue.ranges.insert_page(claim, [point(1)], Advance(encode_key(2), scanned=1))
    await queue.ranges.give_up(claim, "the source lies")
    assert (await queue.latest()).error == "the source lies"
    with pytest.raises(StaleEpoch):
        await queue.ranges.advance(claim, Advance(None, scanned=0))
    assert (await queue.jobs.start(BACKFILL, "c", Options())).state is JobState.RUNNING
    resumed = await queue.claim()
    assert (resumed.cursor, resumed.scanned) == (encode_key(2), 1)
    await queue.ranges.advance(resumed, Advance(None, scanned=0))

    await queue.jobs.failed(await claimed(queue), "the disk is full")
    assert (await queue.jobs.start(BACKFILL, "c", Options())).state is JobState.FINISHING


async def test_steps_are_leased(queue: Queue) -> None:
    """One conductor has a step; one who is silent is replaced and changes nothing more."""
    await queue.jobs.start(BACKFILL, "c", Options())
    first = await claimed(queue)
    assert await queue.jobs.claim_step(uuid4(), KINDS) is None
    await queue.jobs.renew_step(first, queue.owner, "waits for an instance")
    assert (await queue.latest()).note == "waits for an instance"
    await queue.silence()
    other = uuid4()
    second = await queue.jobs.claim_step(other, KINDS)
    assert second is not None
    assert second.attempt == first.attempt + 1
    for late in (
        queue.jobs.renew_step(first, queue.owner, None),
        queue.jobs.prepared(first, [KeyRange()], 1),
        queue.jobs.failed(first, "late"),
        queue.jobs.finished(first, {}),
        queue.jobs.judged(first, []),
    ):
        with pytest.raises(StaleEpoch):
            await late
    await queue.jobs.release_step(first, queue.owner)
    assert await queue.jobs.claim_step(uuid4(), KINDS) is None
    await queue.jobs.release_step(second, other)
    assert await queue.jobs.claim_step(uuid4(), KINDS) is not None


async def test_a_lease_holds_as_long_as_it_is_renewed(queue: Queue) -> None:
    """A heartbeat after a long silence is as good as a new claim."""
    await queue.jobs.start(BACKFILL, "c", Options())
    step = await claimed(queue)
    await queue.silence()
    await queue.jobs.renew_step(step, queue.owner, None)
    assert await queue.jobs.claim_step(uuid4(), KINDS) is None


async def test_a_paused_job_gives_nothing_to_do(queue: Queue) -> None:
    """Neither a step nor a range, until it is tuned again."""
    job = await queue.jobs.start(BACKFILL, "c", Options(paused=True))
    assert await queue.jobs.claim_step(queue.owner, KINDS) is None
    await queue.jobs.tune(job.id, {"paused": False})
    await queue.jobs.prepared(await claimed(queue), [KeyRange()], None)
    await queue.jobs.tune(job.id, {"paused": True})
    assert await queue.ranges.claim(queue.owner, KINDS) is None
    assert (await queue.jobs.tune(job.id, {"paused": False})).options == Options()
    await queue.claim()


async def test_options_are_changed_one_by_one(queue: Queue) -> None:
    """What a request does not name stays, also what another one is changing at the same time."""
    job = await queue.jobs.start(BACKFILL, "c", Options(page_bytes=4096))
    for number in range(1, 20):
        await asyncio.gather(
            queue.jobs.tune(job.id, {"workers": number}),
            queue.jobs.tune(job.id, {"points_per_second": float(number)}),
        )
        assert (await queue.latest()).options == Options(
            workers=number, points_per_second=float(number), page_bytes=4096
        )
    unlimited = await queue.jobs.tune(job.id, {"workers": None, "paused": True})
    assert unlimited.options == Options(paused=True, points_per_second=19.0, page_bytes=4096)


async def test_old_jobs_go_when_another_begins(queue: Queue, database: Database) -> None:
    """The newest that are done stay, and the newest of the others, with what belongs to them; each kind for itself."""
    copied = await done(queue)
    judged: list[UUID] = []
    for number in range(_KEPT + 2):
        job = await queue.jobs.start(VERIFY, "c", Options())
        await queue.jobs.prepared(await claimed(queue), [KeyRange()], None)
        claim = await queue.ranges.claim(queue.owner, [VERIFY])
        assert claim is not None
        found = [Suspect(encode_key(number), ("missing",))]
        await queue.ranges.advance(claim, Advance(None, scanned=1, differences=found))
        await queue.jobs.finished(await claimed(queue), {})
        judged.append(job.id)
    dropped: list[UUID] = []
    for _ in range(_KEPT + 2):
        job = await queue.jobs.start(VERIFY, "c", Options())
        await queue.jobs.cancel(job.id)
        dropped.append(job.id)
    last = await queue.jobs.start(VERIFY, "c", Options())
    async with database.connection() as connection:
        jobs = {row["id"] for row in await connection.fetch("SELECT id FROM vecferry.jobs")}
        for table in ("job_ranges", "job_suspects"):
            rows = await connection.fetch(f"SELECT DISTINCT job FROM vecferry.{table}")
            assert {row["job"] for row in rows} - {copied.id} == set(judged[2:]), table
    assert jobs == {copied.id, last.id, *judged[2:], *dropped[2:]}


async def test_a_worker_of_a_job_that_is_gone_is_replaced(queue: Queue, database: Database) -> None:
    """As one of a job that was cancelled, whatever it comes with."""
    await queue.jobs.start(VERIFY, "c", Options())
    job = await queue.jobs.prepared(await claimed(queue), [KeyRange()], None)
    claim = await queue.ranges.claim(queue.owner, [VERIFY])
    assert claim is not None
    async with database.connection() as connection:
        await connection.execute("DELETE FROM vecferry.jobs WHERE id = $1", job.id)
    found = [Suspect(encode_key(1), ("missing",))]
    for late in (
        queue.ranges.advance(claim, Advance(None, scanned=1, differences=found)),
        queue.ranges.renew(claim, queue.owner, None),
        queue.ranges.give_up(claim, "late"),
    ):
        with pytest.raises(StaleEpoch):
            await late


async def test_a_cancelled_job_is_at_its_end(queue: Queue) -> None:
    """What it wrote stays; the next request makes a new one; a job that is done stays done."""
    job = await queue.running()
    claim, _ = await queue.ranges.insert_page(
        await queue.claim(), [point(1)], Advance(encode_key(2), scanned=1)
    )
    assert (await queue.jobs.cancel(job.id)).state is JobState.CANCELLED
    orders = await queue.ranges.renew(claim, queue.owner, None)
    assert not orders.is_open
    with pytest.raises(StaleEpoch):
        await queue.ranges.insert_page(claim, [point(2)], Advance(None, scanned=1))
    assert await queue.stored(1, 2) == {1: "backfill"}
    assert (await queue.jobs.start(BACKFILL, "c", Options())).id != job.id


async def test_done_stays_done(queue: Queue) -> None:
    """Cancelling what has ended changes nothing."""
    job = await done(queue)
    assert await queue.jobs.cancel(job.id) == job


async def test_jobs_go_with_their_collection(queue: Queue, database: Database) -> None:
    """A job of the dropped generation is void, and the new one has none."""
    store = PgStore(database)
    await queue.jobs.start(BACKFILL, "c", Options())
    step = await claimed(queue)
    await store.delete_collection("c")
    with pytest.raises(CollectionNotFound):
        await queue.jobs.start(BACKFILL, "c", Options())
    await store.create_collection("c", CONFIG)
    assert await queue.jobs.latest(BACKFILL, "c") is None
    for late in (
        queue.jobs.prepared(step, [KeyRange()], 1),
        queue.jobs.renew_step(step, queue.owner, None),
        queue.jobs.tune(step.id, {"workers": 2}),
        queue.jobs.cancel(step.id),
    ):
        with pytest.raises(StaleEpoch):
            await late


async def test_suspects_are_kept_in_the_order_of_their_keys(queue: Queue) -> None:
    """They are read by page; judged ones are confirmed, or forgotten when nothing differs any more."""
    await queue.jobs.start(VERIFY, "c", Options())
    await queue.jobs.prepared(await claimed(queue), [KeyRange()], None)
    claim = await queue.ranges.claim(queue.owner, [VERIFY])
    assert claim is not None
    keys = [encode_key(number) for number in range(4)]
    found = [Suspect(key, ("payload", "vector")) for key in reversed(keys)]
    claim, _ = await queue.ranges.advance(
        claim, Advance(keys[3], scanned=4, written=4, differences=found, state={"digest": "x"})
    )
    assert claim.state == {"digest": "x"}
    await queue.ranges.advance(
        claim, Advance(None, scanned=0, differences=[Suspect(keys[0], ("missing",))])
    )
    step = await claimed(queue)
    first = await queue.jobs.suspects(step, limit=3)
    assert [each.key for each in first] == keys[:3]
    assert (first[0].kinds, first[1].kinds) == (("missing",), ("payload", "vector"))
    assert [each.key for each in await queue.jobs.suspects(step, limit=3, after=keys[2])] == keys[
        3:
    ]
    await queue.jobs.judged(
        step,
        [
            Suspect(keys[2], ("extra",), confirmed=True),
            Suspect(keys[0], ()),
            Suspect(keys[1], ("vector",), confirmed=False),
        ],
    )
    assert list(await queue.jobs.suspects(step, limit=9)) == [
        Suspect(keys[1], ("vector",), confirmed=False),
        Suspect(keys[2], ("extra",), confirmed=True),
        Suspect(keys[3], ("payload", "vector")),
    ]
    (kept,) = await queue.jobs.ranges(step)
    assert (kept.state, kept.scanned) == ({"digest": "x"}, 4)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        ("done", None, (JobState.DONE, None, 1)),
        ("running", None, (JobState.FAILED, "interrupted by an upgrade; start it again", 0)),
        ("failed", "no space", (JobState.FAILED, "no space", 0)),
    ],
)
async def test_backfills_of_the_version_before_are_taken_over(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, state: str, error: str | None,
    expected: tuple[JobState, str | None, int],
) -> None:  # fmt: skip
    """What was done is done; what was interrupted goes on at its cursor."""
    every = migrate.migrations()
    monkeypatch.setattr(migrate, "migrations", lambda: [m for m in every if m.name < "0009"])
    await migrate.migrate(empty_database_url)
    database = await Database.open(empty_database_url)
    try:
        await PgStore(database).create_collection("c", CONFIG)
        cursor = None if state == "done" else encode_key(41)
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO vecferry.backfills (generation, attempt, state, cursor, copied, scanned, total, error)"
                " SELECT id, 3, $1, $2, 30, 40, 99, $3 FROM vecferry.collections",
                state,
                cursor,
                error,
            )
        monkeypatch.undo()
        assert await migrate.migrate(empty_database_url) == [
            m.name for m in every if m.name >= "0009"
        ]
        queue = Queue(database, PostgresJobs(database), PostgresRanges(database), uuid4())
        job = await queue.latest()
        assert (job.state, job.error, job.ranges_done) == expected
        assert (job.scanned, job.written, job.total, job.ranges) == (40, 30, 99, 1)
        resumed = await queue.jobs.start(BACKFILL, "c", Options())
        assert resumed.id == job.id
        if state != "done":
            assert resumed.state is JobState.RUNNING
            claim = await queue.claim()
            assert (claim.cursor, claim.range, claim.scanned) == (cursor, KeyRange(), 40)
    finally:
        await database.close()
