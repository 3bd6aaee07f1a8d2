"""The control table on a real Postgres."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from service.control.state import CollectionState
from service.errors import CollectionExists, StageError
from service.stages import Stage
from service.stores.postgres import intents
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.store import PgStore
from tests.service.stores.postgres.staged import (
    CONFIG,
    current,
    intent_of,
    ledger,
    registered,
    silence,
    staged,
    until_one_waits,
)


async def _audit(database: Database) -> list[tuple[object, ...]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT stage_before, stage, percent, epoch, actor FROM vecferry.audit ORDER BY id"
        )
    return [tuple(row) for row in rows]


async def test_arming_makes_empty_tables(database: Database, control: PostgresControl) -> None:
    """The collection enters `dualwrite` with a generation, an epoch and an entry in the audit log."""
    before = await control.revision()
    revision = await control.arm("c", CONFIG, actor="ops", is_new=False)
    state = await current(control)
    assert revision == before + 1 == await control.revision()
    assert (state.stage, state.epoch, state.backfilled) == (Stage.DUALWRITE, 1, False)
    assert state.generation is not None
    assert await PgStore(database).has_collection("c")
    assert await _audit(database) == [(None, "dualwrite", 100, 1, "ops")]


async def test_arming_again_replaces_tables_and_ledger(
    database: Database, control: PostgresControl
) -> None:
    """A new generation begins empty; intents of the old one end with it."""
    first = await staged(control, Stage.DUALWRITE)
    log, owner = PostgresIntents(database), await registered(control)
    await log.insert([intent_of(first, 1)], owner=owner)
    await control.arm("c", CONFIG, actor="ops", is_new=False)
    second = await current(control)
    assert second.generation != first.generation
    assert second.epoch == first.epoch + 1
    assert not await ledger(database)


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE])
async def test_arming_never_replaces_the_truth(
    database: Database, control: PostgresControl, stage: Stage
) -> None:
    """Tables that are right are not dropped by whoever believes that the collection is new."""
    state = await staged(control, stage)
    with pytest.raises(StageError, match="is the truth"):
        await control.arm("c", CONFIG, actor="late", is_new=True)
    assert await current(control) == state


async def test_arming_refuses_a_state_that_has_passed(control: PostgresControl) -> None:
    """Who read the row before somebody else armed it does not throw that work away."""
    await staged(control, Stage.DUALWRITE)
    never_seen = CollectionState("c", Stage.OFF)
    with pytest.raises(StageError, match="meanwhile"):
        await control.arm("c", CONFIG, actor="late", is_new=False, before=never_seen)
    await control.arm(
        "d", CONFIG, actor="ops", is_new=False, before=CollectionState("d", Stage.OFF)
    )
    assert (await current(control, "d")).stage is Stage.DUALWRITE


async def test_a_new_collection_is_adopted_once(
    database: Database, control: PostgresControl
) -> None:
    """Of two who create a collection at once the second is refused and drops nothing."""
    await control.adopt_target("c", CONFIG, actor="first")
    state = await current(control)
    with pytest.raises(CollectionExists):
        await control.adopt_target("c", CONFIG, actor="second")
    assert await current(control) == state
    assert (state.stage, state.backfilled) == (Stage.COMPLETE, True)


async def test_publishing_raises_the_epoch(database: Database, control: PostgresControl) -> None:
    """Stage, percentage and epoch change together, and the audit log says who did it."""
    before = await staged(control, Stage.SHADOW)
    await control.publish(before, Stage.RAMP, 10, actor="ops", token=None)
    after = await current(control)
    assert (after.stage, after.percent, after.epoch) == (Stage.RAMP, 10, before.epoch + 1)
    assert (await _audit(database))[-1] == ("shadow", "ramp", 10, after.epoch, "ops")


async def test_a_change_by_somebody_else_is_not_overwritten(control: PostgresControl) -> None:
    """A publication holds only for the epoch that it was decided on."""
    before = await staged(control, Stage.SHADOW)
    await control.publish(before, Stage.DUALWRITE, 100, actor="other", token=None)
    for change in (
        control.publish(before, Stage.RAMP, 10, actor="ops", token=None),
        control.freeze(before, uuid4(), 5),
        control.abandon(before, actor="ops"),
    ):
        with pytest.raises(StageError, match="meanwhile"):
            await change
    assert (await current(control)).stage is Stage.DUALWRITE


async def test_a_collection_made_again_is_another_one(control: PostgresControl) -> None:
    """The first epoch of a new generation does not pass for the first epoch of the old one."""
    before = await staged(control, Stage.DUALWRITE)
    await control.retire("c", actor="t")
    again = await staged(control, Stage.DUALWRITE)
    assert again.generation != before.generation
    with pytest.raises(StageError, match="meanwhile"):
        await control.publish(before, Stage.SHADOW, 100, actor="ops", token=None)


async def test_nothing_is_published_about_an_unknown_collection(control: PostgresControl) -> None:
    """Without a row there is nothing to change."""
    unknown = CollectionState("c", Stage.DUALWRITE)
    with pytest.raises(StageError, match="not known"):
        await control.publish(unknown, Stage.SHADOW, 100, actor="ops", token=None)


async def test_a_freeze_ends_by_its_deadline(control: PostgresControl) -> None:
    """Whoever held it may have died: the old stage goes on, and a late publication is refused."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 0.1)
    assert (await current(control)).frozen
    await asyncio.sleep(0.15)
    assert await current(control) == state
    with pytest.raises(StageError, match="passed its deadline"):
        await control.publish(state, Stage.LIVE, 100, actor="ops", token=token)


async def test_a_freeze_does_not_end_under_a_publication(
    database: Database, control: PostgresControl
) -> None:
    """Its row is held then: whoever took the freeze for over would write under the old stage until the new one."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 0.1)
    async with database.transaction() as publishing:
        await publishing.execute("SELECT 1 FROM vecferry.control WHERE name = 'c' FOR UPDATE")
        await asyncio.sleep(0.15)
        assert (await current(control)).frozen
    assert not (await current(control)).frozen


async def test_a_freeze_that_was_ended_is_not_published_whatever_time_it_is(
    database: Database, control: PostgresControl
) -> None:
    """A publication that began in time and then waited for its turn is too late all the same."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 0.3)
    async with asyncio.TaskGroup() as tasks:
        async with database.transaction() as other:
            await other.execute("SELECT value FROM vecferry.revision FOR UPDATE")
            publishing = tasks.create_task(_failure(control, state, token))
            await until_one_waits(database)
            await asyncio.sleep(0.4)
            assert not (await current(control)).frozen
        assert "passed its deadline" in await publishing


async def test_only_the_freezes_owner_changes_anything(control: PostgresControl) -> None:
    """Under somebody's freeze no other change goes through; without it neither does a stranger's token."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 30)
    for change in (
        control.publish(state, Stage.DUALWRITE, 100, actor="other", token=None),
        control.freeze(state, uuid4(), 30),
        control.abandon(state, actor="other"),
    ):
        with pytest.raises(StageError, match="frozen by another"):
            await change
    with pytest.raises(StageError, match="passed its deadline"):
        await control.publish(state, Stage.LIVE, 100, actor="other", token=uuid4())
    await control.publish(state, Stage.LIVE, 100, actor="ops", token=token)
    after = await current(control)
    assert (after.stage, after.frozen) == (Stage.LIVE, False)


async def test_a_thaw_needs_its_own_token(control: PostgresControl) -> None:
    """A stranger's thaw is without effect."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 30)
    await control.thaw("c", uuid4())
    assert (await current(control)).frozen
    await control.thaw("c", token)
    assert await current(control) == state


async def test_publishing_under_a_freeze_refuses_a_ledger_that_is_not_empty(
    database: Database, control: PostgresControl
) -> None:
    """The authority does not move while one intent is unsettled."""
    state, token, owner = await staged(control, Stage.SHADOW), uuid4(), await registered(control)
    await control.freeze(state, token, 30)
    await PostgresIntents(database).insert([intent_of(state, 1)], owner=owner)
    with pytest.raises(StageError, match="1 unsettled"):
        await control.publish(state, Stage.LIVE, 100, actor="ops", token=token)
    assert (await current(control)).stage is Stage.SHADOW


async def test_publishing_sees_the_intent_that_it_waited_for(
    database: Database, control: PostgresControl
) -> None:
    """An intent that commits while the publication waits for the row is counted (R5)."""
    state, token, owner = await staged(control, Stage.SHADOW), uuid4(), await registered(control)
    await control.freeze(state, token, 30)
    async with asyncio.TaskGroup() as tasks:
        async with database.transaction() as connection:
            assert await intents.insert(connection, [intent_of(state, 1)], owner=owner)
            publishing = tasks.create_task(_failure(control, state, token))
            await until_one_waits(database)
        assert "1 unsettled" in await publishing
    assert (await current(control)).stage is Stage.SHADOW


async def _failure(control: PostgresControl, state: CollectionState, token: object) -> str:
    with pytest.raises(StageError) as raised:
        await control.publish(state, Stage.LIVE, 100, actor="ops", token=token)  # type: ignore[arg-type]
    return str(raised.value)


async def test_abandoning_keeps_the_tables_until_they_are_dropped(
    database: Database, control: PostgresControl
) -> None:
    """The row forgets its generation at once; tables and intents go when every instance knows."""
    state, owner = await staged(control, Stage.RAMP), await registered(control)
    await PostgresIntents(database).insert([intent_of(state, 1)], owner=owner)
    await control.abandon(state, actor="ops")
    after = await current(control)
    assert (after.stage, after.generation, after.backfilled) == (Stage.OFF, None, False)
    assert after.epoch == state.epoch + 1
    assert await PgStore(database).has_collection("c")
    assert state.generation is not None
    await control.drop_generation(state.generation)
    await control.drop_generation(state.generation)
    assert not await PgStore(database).has_collection("c")
    assert not await ledger(database)


async def test_a_deleted_collection_leaves_only_its_name(
    database: Database, control: PostgresControl
) -> None:
    """Tables and intents go; the name keeps that a new collection is to be mirrored."""
    state, owner = await staged(control, Stage.RAMP), await registered(control)
    await PostgresIntents(database).insert([intent_of(state, 1)], owner=owner)
    await control.retire("c", actor="t")
    left = await current(control)
    assert (left.stage, left.generation, left.backfilled) == (Stage.DUALWRITE, None, False)
    assert not await PgStore(database).has_collection("c")
    assert not await ledger(database)


async def test_a_collection_can_be_kept_off(control: PostgresControl) -> None:
    """It gets a row, so that nobody tries to mirror it at every write."""
    await control.keep_off("c", actor="first sight: sparse vectors")
    state = await current(control)
    assert (state.stage, state.generation, state.epoch) == (Stage.OFF, None, 1)


async def test_a_backfill_counts_only_for_its_own_generation(control: PostgresControl) -> None:
    """The end of an old copy says nothing about new tables."""
    await control.arm("c", CONFIG, actor="ops", is_new=False)
    state = await current(control)
    assert state.generation is not None
    await control.mark_backfilled("c", state.generation + 1)
    assert not (await current(control)).backfilled
    await control.mark_backfilled("c", state.generation)
    assert (await current(control)) == replace(state, backfilled=True)


async def test_live_instances_are_waited_for(database: Database, control: PostgresControl) -> None:
    """An instance is waited for until it has confirmed, has left, or was silent for too long."""
    quick, slow, gone, dead = [await registered(control) for _ in range(4)]
    revision = await control.touch()
    assert await control.confirm(quick, revision)
    assert await control.confirm(slow, revision - 1)
    await control.leave(gone)
    await silence(database, dead, 60)
    waiting = await control.waiting_for(revision, stale_after_seconds=10)
    assert [(entry.instance, entry.confirmed) for entry in waiting] == [(slow, revision - 1)]
    assert await control.confirm(slow, revision)
    assert not await control.waiting_for(revision, stale_after_seconds=10)


async def test_a_fenced_instance_is_told(control: PostgresControl) -> None:
    """Its heartbeat finds no row; registering again is fine, twice as well."""
    instance = await registered(control)
    await control.leave(instance)
    assert not await control.confirm(instance, 5)
    await control.register(instance)
    await control.register(instance)
    assert await control.confirm(instance, 5)


async def test_two_changes_get_two_revisions(control: PostgresControl) -> None:
    """Concurrent changes take turns; none shares a number."""
    revisions = await asyncio.gather(*(control.touch() for _ in range(8)))
    assert sorted(revisions) == list(range(min(revisions), min(revisions) + 8))


async def test_the_ledgers_size_is_the_generations_own(
    database: Database, control: PostgresControl
) -> None:
    """Intents of other collections are not counted."""
    first, second = await staged(control, Stage.SHADOW), await staged(control, Stage.SHADOW, "d")
    owner = await registered(control)
    await PostgresIntents(database).insert([intent_of(second, 1)], owner=owner)
    assert first.generation is not None
    assert second.generation is not None
    assert await control.ledger_size(first.generation) == 0
    assert await control.ledger_size(second.generation) == 1
