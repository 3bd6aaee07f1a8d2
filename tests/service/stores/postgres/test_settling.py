"""What a resync leaves behind on a real Postgres: data, intents, attempts and dead letters."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.control.state import CollectionState
from service.errors import SourceUnavailable, StoreAnswered, StoreError, TargetUnavailable
from service.model.ids import PointId, encode_key, unpack_keys
from service.model.operations import Upsert
from service.model.points import Point
from service.protocol import refusals
from service.protocol.ledger import Intent, Settled, Settlement
from service.stages import Side, Stage
from service.stores.postgres import catalog, writes
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.intents import PostgresIntents
from tests.service.running import until
from tests.service.stores.postgres.resyncs import Pushes, having, resynced
from tests.service.stores.postgres.staged import (
    current,
    intent_of,
    ledger,
    numbers,
    point,
    registered,
    staged,
    until_one_waits,
)


async def test_a_resync_copies_what_the_source_has(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Present points are copied whole, absent ones removed, and the intents are gone with it."""
    state = await staged(control, Stage.DUALWRITE)
    old = intent_of(state, 1, 2)
    await log.insert([old], owner=owner)
    assert (
        await resynced(log, state, [old], having(point(1, 1.0), point(2, 1.0)))
    ).outcome is Settled.DONE
    new = intent_of(state, 1, 2, 3)
    await log.insert([new], owner=owner)
    assert (
        await resynced(log, state, [new], having(point(2, 2.0), point(3, 3.0)))
    ).outcome is Settled.DONE
    assert await numbers(database, 1, 2, 3) == {2: 2.0, 3: 3.0}
    assert not await ledger(database)


async def test_a_deleted_point_does_not_come_back(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A resync of an id that the source never showed us leaves a tombstone for the late copy (I4)."""
    state = await staged(control, Stage.DUALWRITE)
    gone = intent_of(state, 1)
    await log.insert([gone], owner=owner)
    await resynced(log, state, [gone], having())
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
    await resynced(log, state, [ended], having(point(1)))
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
        tasks.create_task(resynced(log, state, [first], slow))
        await until(lambda: reads)
        tasks.create_task(resynced(log, state, [second], fresh))
        await until_one_waits(database)
        assert reads == ["slow"]
        held.set()
    assert await numbers(database, 1) == {1: 2.0}


@pytest.mark.parametrize("error", [SourceUnavailable("hung up"), StoreAnswered(400, b"{}")])
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
        await resynced(log, state, [kept], fail)
    assert await ledger(database) == {kept.id}


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

    assert (await resynced(log, state, [gone], unexpected)).outcome is Settled.GONE
    assert not await ledger(database)


async def test_a_write_whose_intent_was_recovered_too_early_is_copied(
    log: PostgresIntents, control: PostgresControl, database: Database
) -> None:
    """A write that lands after its intent was settled by somebody else still reaches the target (R7)."""
    state = await staged(control, Stage.DUALWRITE)
    recovered = intent_of(state, 1)
    assert (await resynced(log, state, [recovered], having(point(1, 5.0)))).outcome is Settled.DONE
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
    assert (await resynced(log, state, [pushed], source, owner)).outcome is Settled.DONE
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
        tasks.create_task(resynced(log, state, [first], source, owner))
        await until(lambda: source.begun)
        tasks.create_task(resynced(log, state, [second], source, owner))
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
        tasks.create_task(resynced(log, state, [pushed], source, owner))
        await until(lambda: source.begun)
        async with asyncio.timeout(2):
            await FencedPgStore(database).apply_fenced(
                "c", Upsert([point(1, 2.0)]), state, owner=owner, outbox=outbox
            )
        source.gate.set()
    assert source.got == [({1: 1.0}, [])]
    assert await ledger(database) == {outbox}


async def test_a_push_needs_its_intent(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Without one the authority may move meanwhile, and the push would undo a newer write."""
    state = await _live(control, database)
    source = Pushes()
    gone = intent_of(state, 1, behind=Side.SOURCE)
    assert (await resynced(log, state, [gone], source, owner)).outcome is Settled.GONE
    assert not source.begun


async def _row(database: Database, intent: Intent) -> Any:
    async with database.connection() as connection:
        return await connection.fetchrow("SELECT * FROM vecferry.intents WHERE id = $1", intent.id)


def _spoilt(point_id: PointId) -> Point:
    return Point(point_id, point(point_id).vectors, {"n": "\x00"})


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN])
async def test_an_intent_of_the_old_authority_is_a_dead_letter(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    stage: Stage,
) -> None:
    """What the new authority should be overwritten with is never copied by itself, and never dropped."""
    state = await staged(control, stage)
    forward = intent_of(state, 1)
    await log.insert([forward], owner=owner)
    settlement = await resynced(log, state, [forward], having(point(1, 9.0)))
    assert settlement == Settlement(Settled.REVERSED, refused=frozenset({forward.id}))
    row = await _row(database, forward)
    assert (row["dead"], row["failures"]) == (True, 1)
    assert "authority" in row["error"]
    assert await numbers(database, 1) == {}


async def test_a_push_of_the_old_authority_is_a_dead_letter(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """After a rollback the target's state is no longer pushed by itself."""
    await _live(control, database)
    await control.publish(await current(control), Stage.SHADOW, 100, actor="ops", token=None)
    state = await current(control)
    reverse = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([reverse], owner=owner)
    source = Pushes()
    assert (await resynced(log, state, [reverse], source, owner)).outcome is Settled.REVERSED
    assert not source.begun
    assert (await _row(database, reverse))["dead"]


async def test_a_refused_point_is_set_apart(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Its neighbours are copied, its intent is narrowed to it, says why and stays owed; other intents end (R14)."""
    state = await staged(control, Stage.DUALWRITE)
    sick, also, well = intent_of(state, 1, 2, 3), intent_of(state, 2), intent_of(state, 4, 5)
    await log.insert([sick, also, well], owner=owner)
    source = having(point(1), _spoilt(2), point(3), point(4))
    settlement = await resynced(log, state, [sick, also, well], source)
    assert settlement == Settlement(Settled.DONE, refused=frozenset({sick.id, also.id}))
    assert await ledger(database) == {sick.id, also.id}
    assert await numbers(database, 1, 2, 3, 4, 5) == {1: 1.0, 3: 1.0, 4: 1.0}
    row = await _row(database, sick)
    assert unpack_keys(row["keys"]) == [encode_key(2)]
    assert (row["failures"], row["dead"], row["owed"]) == (1, False, True)
    assert "Unicode" in row["error"]
    assert row["failed_at"] is not None


async def test_what_is_refused_too_often_is_a_dead_letter(
    database: Database, control: PostgresControl, owner: UUID
) -> None:
    """Each refusal counts in the row, whoever is refused; the last one that is allowed makes it dead."""
    state = await staged(control, Stage.DUALWRITE)
    sick = intent_of(state, 1)
    log = PostgresIntents(database, dead_after=3)
    await log.insert([sick], owner=owner)
    seen = []
    for _ in range(3):
        await resynced(PostgresIntents(database, dead_after=3), state, [sick], having(_spoilt(1)))
        row = await _row(database, sick)
        seen.append((row["failures"], row["dead"]))
    assert seen == [(1, False), (2, False), (3, True)]


_RAISE = """
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.payload @> '{"n": 7}' THEN RAISE 'no' USING ERRCODE = '%s'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON vecferry_data.points_1
        FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""


@pytest.mark.parametrize("code", ["54000", "XX000", "23514", "22P05"])
async def test_any_refusal_of_postgres_is_set_apart(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, code: str
) -> None:
    """A limit, a check or an internal error about one row concerns that row only."""
    state = await staged(control, Stage.DUALWRITE)
    async with database.connection() as connection:
        await connection.execute(_RAISE % code)
    intents = [intent_of(state, number) for number in range(20)]
    await log.insert(intents, owner=owner)
    source = having(*(point(number, float(number)) for number in range(20)))
    settlement = await resynced(log, state, intents, source)
    assert settlement.refused == {intents[7].id} == await ledger(database)
    assert len(await numbers(database, *range(20))) == 19


@pytest.mark.parametrize("code", ["53100", "40P01", "57P01", "25006", "58030"])
async def test_a_store_that_is_away_refuses_nothing(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, code: str
) -> None:
    """A full disk, a deadlock, a shutdown, a standby: the intents stay as they were and nothing is counted."""
    state = await staged(control, Stage.DUALWRITE)
    async with database.connection() as connection:
        await connection.execute(_RAISE % code)
    intents = [intent_of(state, 6), intent_of(state, 7)]
    await log.insert(intents, owner=owner)
    with pytest.raises(TargetUnavailable):
        await resynced(log, state, intents, having(point(6), point(7, 7)))
    assert [(await _row(database, each))["failures"] for each in intents] == [0, 0]
    assert await numbers(database, 6) == {}


async def test_what_there_is_no_time_for_waits(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Among many refused points some are decided at a time; the others' intents are not blamed for it."""
    monkeypatch.setattr(refusals, "MOST_TRIES", 6)
    state = await staged(control, Stage.DUALWRITE)
    intents = [intent_of(state, number) for number in range(8)]
    await log.insert(intents, owner=owner)
    settlement = await resynced(log, state, intents, having(*map(_spoilt, range(8))))
    assert len(settlement.refused) == 2
    assert settlement.waiting == {each.id for each in intents} - settlement.refused
    failures = [(await _row(database, each))["failures"] for each in intents]
    assert failures == [1, 1, 0, 0, 0, 0, 0, 0]


async def _dead(database: Database, log: PostgresIntents, intent: Intent, owner: UUID) -> None:
    await log.insert([intent], owner=owner)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE vecferry.intents SET dead = true, failures = 5 WHERE id = $1", intent.id
        )


async def test_a_newer_write_heals_a_dead_letter(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """When all its ids were made equal it ends with the resync; one id less and it stays."""
    state, other = (
        await staged(control, Stage.DUALWRITE),
        await staged(control, Stage.DUALWRITE, "d"),
    )
    dead, elsewhere = intent_of(state, 1, 2), intent_of(other, 1, 2)
    await _dead(database, log, dead, owner)
    await _dead(database, log, elsewhere, owner)
    part = intent_of(state, 1, 3)
    await log.insert([part], owner=owner)
    await resynced(log, state, [part], having(point(1)))
    assert await ledger(database) == {dead.id, elsewhere.id}
    whole = intent_of(state, 1, 2, 3)
    await log.insert([whole], owner=owner)
    await resynced(log, state, [whole], having(point(1), _spoilt(2)))
    assert await ledger(database) == {dead.id, elsewhere.id, whole.id}
    await resynced(log, state, [whole], having(point(1), point(2)))
    assert await ledger(database) == {elsewhere.id}


async def test_a_refused_push_is_set_apart(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The source takes what it can; the refused id keeps its intent, without an open attempt."""
    state = await _live(control, database)
    intents = [intent_of(state, number, behind=Side.SOURCE) for number in range(1, 5)]
    await log.insert(intents, owner=owner)
    source = Pushes()
    source.refused = 3
    settlement = await resynced(log, state, intents, source, owner)
    assert settlement.refused == {intents[2].id} == await ledger(database)
    assert sorted(each for _, absent in source.got for each in absent) == [2, 4]
    row = await _row(database, intents[2])
    assert (row["attempt_by"], row["failures"]) == (None, 1)


async def test_a_push_is_announced_before_it_is_sent(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Everybody can see that it may be under way, and can when its end is not known (R8)."""
    state = await _live(control, database)
    pushed = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([pushed], owner=owner)
    source = Pushes()
    source.gate.clear()
    source.error = SourceUnavailable("hung up")
    async with asyncio.TaskGroup() as tasks:
        pushing = tasks.create_task(_ends(resynced(log, state, [pushed], source, owner)))
        await until(lambda: source.begun)
        assert (await _row(database, pushed))["attempt_by"] == owner
        source.gate.set()
    assert isinstance(pushing.result(), SourceUnavailable)
    assert (await _row(database, pushed))["attempt_by"] == owner


async def _ends(work: Coroutine[Any, Any, object]) -> Exception | None:
    try:
        await work
    except StoreError as error:
        return error
    return None


async def test_another_ones_open_push_pins_its_ids(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Only these wait: the others of the same resync are pushed (R8)."""
    state, other = await _live(control, database), await registered(control)
    foreign = intent_of(state, 1, 2, behind=Side.SOURCE)
    await log.insert([foreign], owner=other)
    lost = Pushes()
    lost.error = SourceUnavailable("hung up")
    assert await _ends(resynced(log, state, [foreign], lost, other))
    pinned, free = (intent_of(state, number, behind=Side.SOURCE) for number in (2, 3))
    await log.insert([pinned, free], owner=owner)
    source = Pushes()
    settlement = await resynced(log, state, [pinned, free], source, owner)
    assert settlement == Settlement(Settled.DONE, waiting=frozenset({pinned.id}))
    assert source.got == [({}, [3])]
    assert (await resynced(log, state, [pinned], source, owner)).waiting == {pinned.id}
    assert await ledger(database) == {foreign.id, pinned.id}
    # Its own pusher, or who has adopted it and waited, closes it.
    await resynced(log, state, [foreign], source, other)
    assert not (await resynced(log, state, [pinned], source, owner)).waiting
    assert not await ledger(database)


async def test_who_lost_the_intent_does_not_push(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """An instance that was fenced between its attempt and its push leaves the ids to who took over (R8)."""
    state, heir = await _live(control, database), await registered(control)
    pushed = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([pushed], owner=owner)
    assert state.generation is not None
    assert await log._attempt(state.generation, pushed.keys, [pushed.id], owner) == frozenset()
    await control.leave(owner)
    (adopted,) = await log.adopt_orphans(owner=heir, silent_seconds=60, limit=1)
    assert adopted.attempt_by == owner
    source = Pushes()
    late = await log._push(state.generation, pushed.keys, [pushed.id], source.push, owner)
    assert late.outcome is Settled.GONE
    assert not source.begun
    assert await ledger(database) == {pushed.id}


async def test_adopted_pushes_do_not_pin_each_other(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Of two pushes that a dead instance began on one id, each waits for the other's end only once (R8)."""
    state, dead = await _live(control, database), await registered(control)
    pair = [intent_of(state, 1, behind=Side.SOURCE) for _ in range(2)]
    await log.insert(pair, owner=dead)
    lost = Pushes()
    lost.error = SourceUnavailable("hung up")
    assert await _ends(resynced(log, state, pair, lost, dead))
    await control.leave(dead)
    assert len(await log.adopt_orphans(owner=owner, silent_seconds=60, limit=2)) == len(pair)
    # Too large to be pushed together, and both waited for.
    source = Pushes()
    for each in (*pair, *pair):
        await resynced(log, state, [each], source, owner)
    assert not await ledger(database)
