"""The ledger on a real Postgres: who may add to it, and what a resync leaves behind."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from service.protocol.ledger import Settled
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from tests.service.running import until
from tests.service.stores.postgres.resyncs import Pushes, having, resynced
from tests.service.stores.postgres.staged import (
    intent_of,
    ledger,
    registered,
    silence,
    staged,
    until_one_waits,
)


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


@pytest.mark.parametrize("count", [1, 2])
async def test_an_intent_that_waits_for_a_stage_change_sees_its_result(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, count: int
) -> None:
    """The write is refused although its epoch was current when its statement began (R5)."""
    state = await staged(control, Stage.SHADOW)
    async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
        await connection.execute("SELECT 1 FROM vecferry.control WHERE name = 'c' FOR UPDATE")
        intents = [intent_of(state, number) for number in range(count)]
        stale = tasks.create_task(log.insert(intents, owner=owner))
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


@pytest.mark.parametrize("epochs", [-1, 1])
async def test_a_single_intent_of_another_epoch_is_refused(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, epochs: int
) -> None:
    """It has a statement of its own, which asks the same (R5)."""
    state = await staged(control, Stage.SHADOW)
    other = intent_of(replace(state, epoch=state.epoch + epochs), 1)
    assert await log.insert([other], owner=owner) == set() == await ledger(database)
    assert len(await log.insert([intent_of(state, 1)], owner=owner)) == 1


@pytest.mark.parametrize("count", [1, 2])
async def test_a_fenced_owner_inserts_nothing(
    log: PostgresIntents, control: PostgresControl, owner: UUID, count: int
) -> None:
    """Without its row among the instances an owner's intents are refused; registered again it may."""
    state = await staged(control, Stage.SHADOW)
    await control.leave(owner)
    intents = [intent_of(state, number) for number in range(count)]
    assert await log.insert(intents, owner=owner) == set()
    await control.register(owner)
    assert len(await log.insert(intents, owner=owner)) == count


async def test_entries_come_back_as_they_went_in(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Keys, direction and collection survive; the oldest come first, and no more than asked for."""
    state = await staged(control, Stage.SHADOW)
    first, second = intent_of(state, 1, 2), intent_of(state, 3, behind=Side.SOURCE)
    await log.insert([first], owner=owner)
    await log.insert([second], owner=owner)
    page = await log.open_entries(owner=owner, after=None, limit=10)
    assert [(e.id, e.collection, e.behind, e.keys) for e in page.entries] == [
        (first.id, "c", Side.TARGET, first.keys),
        (second.id, "c", Side.SOURCE, second.keys),
    ]
    assert page.end is None
    assert not (await log.open_entries(owner=uuid4(), after=None, limit=10)).entries


async def test_the_ledger_is_read_in_pages(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Every intent is on one page, also those that share a moment, and the last page says so."""
    state = await staged(control, Stage.SHADOW)
    intents = [intent_of(state, number) for number in range(7)]
    await log.insert(intents[:5], owner=owner)
    await log.insert(intents[5:], owner=owner)
    found, place = [], None
    for expected in (3, 3, 1):
        page = await log.open_entries(owner=owner, after=place, limit=3)
        assert len(page.entries) == expected
        found += [entry.id for entry in page.entries]
        place = page.end
    assert place is None
    assert sorted(found) == sorted(each.id for each in intents)
    assert set(found[5:]) == {each.id for each in intents[5:]}


async def _fail(database: Database, intent: UUID, *, failures: int, seconds: float) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE vecferry.intents SET failures = $2, error = 'no',"
            " failed_at = now() - make_interval(secs => $3) WHERE id = $1",
            intent,
            failures,
            seconds,
        )


@pytest.mark.parametrize(
    ("failures", "seconds", "is_due"),
    [(1, 4, False), (1, 6, True), (2, 9, False), (2, 11, True), (40, 299, False), (40, 301, True)],
)
async def test_what_was_refused_waits_longer_each_time(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    failures: int,
    seconds: float,
    is_due: bool,
) -> None:
    """The sweep does not see it before its time, and neither does who would adopt it."""
    state = await staged(control, Stage.SHADOW)
    refused = intent_of(state, 1)
    await log.insert([refused], owner=owner)
    await _fail(database, refused.id, failures=failures, seconds=seconds)
    assert bool((await log.open_entries(owner=owner, after=None, limit=9)).entries) is is_due
    await control.leave(owner)
    heir = await registered(control)
    assert bool(await log.adopt_orphans(owner=heir, silent_seconds=60, limit=9)) is is_due


async def test_a_dead_letter_waits_for_an_operator(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Nothing takes it by itself; counted as never refused the sweep has it. It blocks a flip all along."""
    state = await staged(control, Stage.SHADOW)
    assert state.generation is not None
    dead = intent_of(state, 1)
    await log.insert([dead], owner=owner)
    await _fail(database, dead.id, failures=9, seconds=10_000)
    async with database.connection() as connection:
        await connection.execute("UPDATE vecferry.intents SET dead = true")
        assert not (await log.open_entries(owner=owner, after=None, limit=9)).entries
        assert await control.ledger_size(state.generation) == 1
        await connection.execute(
            "UPDATE vecferry.intents SET dead = false, failures = 0, failed_at = NULL"
        )
    (entry,) = (await log.open_entries(owner=owner, after=None, limit=9)).entries
    assert entry.id == dead.id


async def test_an_adopted_intent_says_whose_write_may_still_land(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """Also to a reader that knows nothing of the adoption (R7); it is owed, as it may have been seen already."""
    state, dead = await staged(control, Stage.RAMP), await registered(control)
    assert state.generation is not None
    await log.insert([intent_of(state, 1, owed=False)], owner=dead)
    await control.leave(dead)
    assert await log.is_owing(state.generation, state.epoch) is False
    await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10)
    assert await log.is_owing(state.generation, state.epoch) is True
    (entry,) = (await log.open_entries(owner=owner, after=None, limit=10)).entries
    assert entry.attempt_by == dead


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
    assert (await log.open_entries(owner=owner, after=None, limit=10)).entries == [adopted]


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
        settling = tasks.create_task(resynced(log, state, [orphan], source, slow))
        await until(lambda: source.begun)
        assert await log.adopt_orphans(owner=owner, silent_seconds=60, limit=10) == []
        source.gate.set()
    assert settling.result().outcome is Settled.DONE


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
    await resynced(log, state, [answered], having())
    assert await log.is_owing(state.generation, state.epoch) is False


async def test_a_collection_can_be_made_to_owe_what_is_unsettled(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """That collection, and only where the target is behind; the intents are settled as before (R11)."""
    state, other = await staged(control, Stage.RAMP), await staged(control, Stage.RAMP, "other")
    assert state.generation is not None
    assert other.generation is not None
    unanswered = intent_of(state, 1, owed=False)
    await log.insert([unanswered], owner=owner)
    await log.owe(other.generation)
    assert await log.is_owing(state.generation, state.epoch) is False
    await log.owe(state.generation)
    assert await log.is_owing(state.generation, state.epoch) is True
    await resynced(log, state, [unanswered], having())
    assert await log.is_owing(state.generation, state.epoch) is False


async def test_nobody_reads_under_an_old_epoch(
    log: PostgresIntents, control: PostgresControl
) -> None:
    """The question is not answered for another epoch or another generation (I6)."""
    state = await staged(control, Stage.RAMP)
    assert state.generation is not None
    assert await log.is_owing(state.generation, state.epoch - 1) is None
    assert await log.is_owing(state.generation + 1, state.epoch) is None
