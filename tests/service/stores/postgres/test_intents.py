"""The ledger on a real Postgres: who may add to it, and what a resync leaves behind."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from service.control.state import CollectionState
from service.errors import SourceUnavailable, WrongInput
from service.model.ids import PointId
from service.model.operations import Upsert
from service.model.points import Point
from service.protocol.ledger import Fetch, Intent, Push, Settled
from service.stages import Side, Stage
from service.stores.postgres import catalog, writes
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.intents import PostgresIntents
from tests.service.running import until
from tests.service.stores.postgres.staged import (
    current,
    intent_of,
    ledger,
    numbers,
    point,
    registered,
    silence,
    staged,
    until_one_waits,
)


@pytest.fixture
def control(database: Database) -> PostgresControl:
    """The control table of a fresh database."""
    return PostgresControl(database)


@pytest.fixture
def log(database: Database) -> PostgresIntents:
    """The ledger of a fresh database."""
    return PostgresIntents(database)


@pytest.fixture
async def owner(control: PostgresControl) -> UUID:
    """A live instance."""
    return await registered(control)


def having(*points: Point) -> Fetch:
    """Return a source that has these points."""

    async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
        return [each for each in points if each.id in ids]

    return fetch


class Pushes:
    """A source that notes what it is given, and can be held up."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[PointId, float], list[PointId]]] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def push(self) -> Push:
        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            self.begun += 1
            await self.gate.wait()
            self.got.append(({each.id: each.payload["n"] for each in present}, list(absent)))

        return push


async def _settled(
    log: PostgresIntents, state: CollectionState, taken: Sequence[Intent], how: Fetch | Pushes
) -> Settled:
    assert state.generation is not None
    keys = sorted({key for each in taken for key in each.keys})
    ids = [each.id for each in taken]
    if isinstance(how, Pushes):
        return await log.settle_source(state.generation, keys, ids, how.push)
    return await log.settle_target(state.generation, keys, ids, how)


async def test_only_intents_of_the_current_epoch_are_taken(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """One insert takes the current ones and refuses the others, each collection by its own epoch (R5)."""
    state, other = await staged(control, Stage.SHADOW), await staged(control, Stage.RAMP, "d")
    good, also_good = intent_of(state, 1), intent_of(other, 1)
    old = intent_of(replace(state, epoch=state.epoch - 1), 1)
    early = intent_of(replace(state, epoch=state.epoch + 1), 1)
    taken = await log.insert([old, good, early, also_good], owner=owner)
    assert taken == {good.id, also_good.id} == await ledger(database)


async def test_an_intent_that_waits_for_a_stage_change_sees_its_result(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The write is refused although its epoch was current when its statement began (R5)."""
    state = await staged(control, Stage.SHADOW)
    async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
        await connection.execute("SELECT 1 FROM vecferry.control WHERE name = 'c' FOR UPDATE")
        stale = tasks.create_task(log.insert([intent_of(state, 1)], owner=owner))
        await until_one_waits(database)
        await connection.execute("UPDATE vecferry.control SET epoch = epoch + 1")
        assert not stale.done()
    assert stale.result() == set()
    assert not await ledger(database)


async def test_an_intent_that_waits_for_a_change_that_fails_is_taken(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A stage change that is rolled back refuses nothing."""
    state = await staged(control, Stage.SHADOW)
    async with asyncio.TaskGroup() as tasks, database.connection() as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute("UPDATE vecferry.control SET epoch = epoch + 1")
        waiting = tasks.create_task(log.insert([intent_of(state, 1)], owner=owner))
        await until_one_waits(database)
        await change.rollback()
    assert len(waiting.result()) == 1


async def test_a_fenced_owner_inserts_nothing(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Without its row among the instances an owner's intents are refused; registered again it may."""
    state = await staged(control, Stage.SHADOW)
    await control.leave(owner)
    assert await log.insert([intent_of(state, 1)], owner=owner) == set()
    await control.register(owner)
    assert len(await log.insert([intent_of(state, 1)], owner=owner)) == 1


async def test_entries_come_back_as_they_went_in(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Keys, direction and collection survive; the oldest come first, and no more than asked for."""
    state = await staged(control, Stage.SHADOW)
    first, second = intent_of(state, 1, 2), intent_of(state, 3, behind=Side.SOURCE)
    await log.insert([first], owner=owner)
    await log.insert([second], owner=owner)
    entries = await log.open_entries(owner=owner, limit=10)
    assert [(e.id, e.collection, e.behind, e.keys) for e in entries] == [
        (first.id, "c", Side.TARGET, first.keys),
        (second.id, "c", Side.SOURCE, second.keys),
    ]
    assert await log.open_entries(owner=owner, limit=1) == entries[:1]
    assert await log.open_entries(owner=uuid4(), limit=10) == []


async def test_orphans_are_adopted_only_after_the_silence(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A live owner keeps its intents; one that was silent for too long is fenced and loses them."""
    state, dead = await staged(control, Stage.SHADOW), await registered(control)
    orphan = intent_of(state, 1)
    await log.insert([orphan], owner=dead)
    await silence(database, dead, 50)
    assert await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10) == []
    await silence(database, dead, 70)
    (adopted,) = await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10)
    assert (adopted.id, adopted.collection, adopted.keys) == (orphan.id, "c", orphan.keys)
    assert await log.insert([intent_of(state, 2)], owner=dead) == set()
    assert await log.open_entries(owner=owner, limit=10) == [adopted]


async def test_orphans_of_an_owner_that_left_are_adopted_at_once(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Who leaves says that nothing of his is under way; the oldest come first, bounded in number."""
    state, gone = await staged(control, Stage.SHADOW), await registered(control)
    orphans = [intent_of(state, number) for number in range(3)]
    for orphan in orphans:
        await log.insert([orphan], owner=gone)
    await control.leave(gone)
    first = await log.adopt_orphans(owner=owner, silent_seconds=60, limit=2)
    rest = await log.adopt_orphans(owner=owner, silent_seconds=60, limit=2)
    assert {e.id for e in first} == {each.id for each in orphans[:2]}
    assert {e.id for e in rest} == {orphans[2].id}


async def test_an_owner_is_never_fenced_by_itself(
    log: PostgresIntents, owner: UUID, control: PostgresControl, database: Database
) -> None:
    """An instance whose heartbeat is late but that does recover others is alive."""
    await silence(database, owner, 1_000)
    await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10)
    assert await control.confirm(owner, 1)


async def test_an_orphan_is_adopted_by_one(log: PostgresIntents, control: PostgresControl) -> None:
    """Two recoverers at once share the orphans without a duplicate."""
    state, gone = await staged(control, Stage.SHADOW), await registered(control)
    orphans = [intent_of(state, number) for number in range(20)]
    await log.insert(orphans, owner=gone)
    await control.leave(gone)
    rescuers = [await registered(control) for _ in range(3)]
    adopted = await asyncio.gather(
        *(log.adopt_orphans(owner=each, silent_seconds=60, limit=100) for each in rescuers)
    )
    found = [entry.id for part in adopted for entry in part]
    assert len(found) == len(set(found)) == 20


async def test_an_intent_that_is_being_settled_is_not_adopted(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """A recoverer neither waits for it nor takes it over."""
    state, slow = await staged(control, Stage.LIVE), await registered(control)
    orphan = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([orphan], owner=slow)
    await control.leave(slow)
    source = Pushes()
    source.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        settling = tasks.create_task(_settled(log, state, [orphan], source))
        await until(lambda: source.begun)
        assert await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10) == []
        source.gate.set()
    assert settling.result() is Settled.DONE


async def test_the_target_owes_what_was_answered_and_not_settled(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Only an owed intent with the target behind keeps reads away from it (R11)."""
    state = await staged(control, Stage.RAMP)
    assert state.generation is not None
    unanswered = intent_of(state, 1, owed=False)
    reverse = intent_of(state, 2, behind=Side.SOURCE)
    await log.insert([unanswered, reverse], owner=owner)
    assert await log.is_owing(state.generation, state.epoch) is False
    answered = intent_of(state, 1)
    await log.insert([answered], owner=owner)
    assert await log.is_owing(state.generation, state.epoch) is True
    await _settled(log, state, [answered], having())
    assert await log.is_owing(state.generation, state.epoch) is False


async def test_nobody_reads_under_an_old_epoch(
    log: PostgresIntents, control: PostgresControl
) -> None:
    """The question is not answered for another epoch or another generation (I6)."""
    state = await staged(control, Stage.RAMP)
    assert state.generation is not None
    assert await log.is_owing(state.generation, state.epoch - 1) is None
    assert await log.is_owing(state.generation + 1, state.epoch) is None


async def test_the_ledger_can_be_measured(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Sizes by direction, and the age of the oldest; zeros when it is empty."""
    assert (await log.sizes(), await log.oldest_seconds()) == (dict.fromkeys(Side, 0), 0)
    state = await staged(control, Stage.RAMP)
    await log.insert([intent_of(state, 1), intent_of(state, 2)], owner=owner)
    assert await log.sizes() == {Side.TARGET: 2, Side.SOURCE: 0}
    assert await log.oldest_seconds() > 0


async def test_a_resync_copies_what_the_source_has(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Present points are copied whole, absent ones removed, and the intents are gone with it."""
    state = await staged(control, Stage.DUALWRITE)
    old = intent_of(state, 1, 2)
    await log.insert([old], owner=owner)
    assert await _settled(log, state, [old], having(point(1, 1.0), point(2, 1.0))) is Settled.DONE
    new = intent_of(state, 1, 2, 3)
    await log.insert([new], owner=owner)
    assert await _settled(log, state, [new], having(point(2, 2.0), point(3, 3.0))) is Settled.DONE
    assert await numbers(database, 1, 2, 3) == {2: 2.0, 3: 3.0}
    assert not await ledger(database)


async def test_a_deleted_point_does_not_come_back(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A resync of an id that the source never showed us leaves a tombstone for the late copy (I4)."""
    state = await staged(control, Stage.DUALWRITE)
    gone = intent_of(state, 1)
    await log.insert([gone], owner=owner)
    await _settled(log, state, [gone], having())
    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        assert await writes.insert_missing(connection, tables, [point(1), point(2)]) == 1
    assert await numbers(database, 1, 2) == {2: 1.0}


async def test_a_resync_settles_only_what_it_was_given(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Another intent on the same id, whose request may not have ended, stays (R2)."""
    state = await staged(control, Stage.DUALWRITE)
    ended, under_way = intent_of(state, 1), intent_of(state, 1)
    await log.insert([ended, under_way], owner=owner)
    await _settled(log, state, [ended], having(point(1)))
    assert await ledger(database) == {under_way.id}


async def test_the_source_is_read_under_the_ids_locks(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Of two resyncs of an id the second reads only when the first has written: no older copy wins."""
    state = await staged(control, Stage.DUALWRITE)
    first, second = intent_of(state, 1), intent_of(state, 1)
    await log.insert([first, second], owner=owner)
    held, reads = asyncio.Event(), list[str]()

    async def slow(ids: Sequence[PointId]) -> Sequence[Point]:
        reads.append("slow")
        await held.wait()
        return [point(1, 1.0)]

    async def fresh(ids: Sequence[PointId]) -> Sequence[Point]:
        reads.append("fresh")
        return [point(1, 2.0)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_settled(log, state, [first], slow))
        await until(lambda: reads)
        tasks.create_task(_settled(log, state, [second], fresh))
        await until_one_waits(database)
        assert reads == ["slow"]
        held.set()
    assert await numbers(database, 1) == {1: 2.0}


@pytest.mark.parametrize("error", [SourceUnavailable("hung up"), WrongInput("NUL")])
async def test_a_resync_that_fails_changes_nothing(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    error: Exception,
) -> None:
    """Data and intents are as before, whatever the source said."""
    state = await staged(control, Stage.DUALWRITE)
    kept = intent_of(state, 1)
    await log.insert([kept], owner=owner)

    async def fail(ids: Sequence[PointId]) -> Sequence[Point]:
        raise error

    with pytest.raises(type(error)):
        await _settled(log, state, [kept], fail)
    assert await ledger(database) == {kept.id}


async def test_a_point_that_does_not_fit_undoes_the_whole_resync(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Its neighbours are not written without their intents being deleted, and the other way round."""
    state = await staged(control, Stage.DUALWRITE)
    kept = intent_of(state, 1, 2)
    await log.insert([kept], owner=owner)
    spoilt = Point(2, point(2).vectors, {"n": "\x00"})
    with pytest.raises(WrongInput):
        await _settled(log, state, [kept], having(point(1), spoilt))
    assert await ledger(database) == {kept.id}
    assert await numbers(database, 1, 2) == {}


@pytest.mark.parametrize("way", ["off", "dropped", "replaced"])
async def test_without_a_generation_there_is_nothing_to_do(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, way: str
) -> None:
    """An abandoned, deleted or re-made collection's intents end, and the source is not asked."""
    state = await staged(control, Stage.DUALWRITE)
    gone = intent_of(state, 1)
    await log.insert([gone], owner=owner)
    match way:
        case "off":
            await control.abandon(state, actor="ops")
        case "dropped":
            await control.retire("c", actor="t")
        case _:
            await control.retire("c", actor="t")
            await staged(control, Stage.DUALWRITE)

    async def unexpected(ids: Sequence[PointId]) -> Sequence[Point]:
        raise AssertionError

    assert await _settled(log, state, [gone], unexpected) is Settled.GONE
    assert not await ledger(database)


async def test_an_intent_of_the_old_authority_is_kept(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """What the new authority should be overwritten with is never copied by itself."""
    state = await staged(control, Stage.LIVE)
    forward = intent_of(state, 1)
    await log.insert([forward], owner=owner)
    assert await _settled(log, state, [forward], having(point(1, 9.0))) is Settled.REVERSED
    assert await ledger(database) == {forward.id}
    assert await numbers(database, 1) == {}


async def test_a_write_whose_intent_was_recovered_too_early_is_copied(
    log: PostgresIntents, control: PostgresControl, database: Database
) -> None:
    """A write that lands after its intent was settled by somebody else still reaches the target (R7)."""
    state = await staged(control, Stage.DUALWRITE)
    recovered = intent_of(state, 1)
    assert await _settled(log, state, [recovered], having(point(1, 5.0))) is Settled.DONE
    assert await numbers(database, 1) == {1: 5.0}


async def _live(control: PostgresControl, database: Database) -> CollectionState:
    state = await staged(control, Stage.LIVE)
    owner = await registered(control)
    await FencedPgStore(database).apply_fenced(
        "c", Upsert([point(1, 1.0)]), state, owner=owner, outbox=None
    )
    return state


async def test_a_push_carries_what_the_target_has(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Present points go whole, absent ids as deletions; the intents end when the source has them."""
    state = await _live(control, database)
    pushed = intent_of(state, 1, 2, behind=Side.SOURCE)
    await log.insert([pushed], owner=owner)
    source = Pushes()
    assert await _settled(log, state, [pushed], source) is Settled.DONE
    assert source.got == [({1: 1.0}, [2])]
    assert not await ledger(database)


async def test_pushes_of_the_same_ids_take_turns(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A push never overtakes another one of the same id, whoever sends it."""
    state = await _live(control, database)
    first, second = (intent_of(state, 1, behind=Side.SOURCE) for _ in range(2))
    await log.insert([first, second], owner=owner)
    source = Pushes()
    source.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_settled(log, state, [first], source))
        await until(lambda: source.begun)
        tasks.create_task(_settled(log, state, [second], source))
        await until_one_waits(database)
        assert source.begun == 1
        source.gate.set()
    assert len(source.got) == 2


async def test_a_push_does_not_hold_up_writes(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A slow source delays no client; a write during the push has an intent of its own, which stays."""
    state = await _live(control, database)
    pushed, outbox = intent_of(state, 1, behind=Side.SOURCE), uuid4()
    await log.insert([pushed], owner=owner)
    source = Pushes()
    source.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_settled(log, state, [pushed], source))
        await until(lambda: source.begun)
        async with asyncio.timeout(2):
            await FencedPgStore(database).apply_fenced(
                "c", Upsert([point(1, 2.0)]), state, owner=owner, outbox=outbox
            )
        source.gate.set()
    assert source.got == [({1: 1.0}, [])]
    assert await ledger(database) == {outbox}


async def test_a_push_needs_its_intent(
    log: PostgresIntents, control: PostgresControl, database: Database
) -> None:
    """Without one the authority may move meanwhile, and the push would undo a newer write."""
    state = await _live(control, database)
    source = Pushes()
    settled = intent_of(state, 1, behind=Side.SOURCE)
    assert await _settled(log, state, [settled], source) is Settled.GONE
    assert not source.begun


async def test_a_push_of_the_old_authority_is_kept(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """After a rollback the target's state is no longer pushed by itself."""
    await _live(control, database)
    await control.publish(await current(control), Stage.SHADOW, 100, actor="ops", token=None)
    state = await current(control)
    reverse = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([reverse], owner=owner)
    source = Pushes()
    assert await _settled(log, state, [reverse], source) is Settled.REVERSED
    assert not source.begun
    assert await ledger(database) == {reverse.id}
