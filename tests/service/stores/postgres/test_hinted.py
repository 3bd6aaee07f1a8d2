"""Hints on their way into a real Postgres: once each, owed, and never where they would be settled too early."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.errors import TargetUnavailable
from service.model.ids import pack_keys
from service.protocol.ledger import Hint
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.hinted import PostgresHinted
from service.stores.postgres.intents import PostgresIntents
from tests.service.stores.postgres.staged import (
    current,
    intent_of,
    ledger,
    registered,
    silence,
    staged,
    until_one_waits,
)


@pytest.fixture
def hinted(database: Database) -> PostgresHinted:
    """Where hints go."""
    return PostgresHinted(database)


async def rows(database: Database) -> list[dict[str, Any]]:
    """Return the whole ledger."""
    async with database.connection() as connection:
        found = await connection.fetch("SELECT * FROM vecferry.intents ORDER BY id")
    return [dict(row) for row in found]


async def test_a_hint_becomes_an_intent(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Under its own id, with its ids and its cause; it is owed, and the taker's own."""
    intent = intent_of(await staged(control, Stage.SHADOW), 1, 2, owed=False)
    await hinted.take([Hint(intent, owner)], owner=owner)
    (row,) = await rows(database)
    assert (row["id"], row["generation"], row["epoch"]) == (
        intent.id,
        intent.generation,
        intent.epoch,
    )
    assert (row["owner"], row["attempt_by"], row["owed"]) == (owner, None, True)
    assert (row["behind"], row["cause"], row["keys"]) == ("target", "test", pack_keys(intent.keys))


async def test_a_hint_of_an_older_epoch_is_taken(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Its write was allowed by the record in the source, and has been done."""
    state = await staged(control, Stage.SHADOW)
    hint = Hint(intent_of(replace(state, epoch=state.epoch - 1), 1), owner)
    await hinted.take([hint], owner=owner)
    assert await ledger(database) == {hint.intent.id}


async def test_the_owner_of_anothers_request_is_kept(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Whoever reads the intent again must know that the request may still land."""
    other = uuid4()
    await hinted.take([Hint(intent_of(await staged(control, Stage.SHADOW), 1), other)], owner=owner)
    (row,) = await rows(database)
    assert (row["owner"], row["attempt_by"]) == (owner, other)


async def test_what_is_taken_twice_is_there_once(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Who took it first keeps it."""
    hint = Hint(intent_of(await staged(control, Stage.SHADOW), 1), owner)
    await hinted.take([hint], owner=owner)
    await hinted.take([hint], owner=await registered(control))
    assert [row["owner"] for row in await rows(database)] == [owner]


async def test_an_insert_that_came_late_is_owed_from_then_on(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Its client was answered on the strength of the hint: reads must not be moved before it is settled (R11)."""
    intent = intent_of(await staged(control, Stage.RAMP), 1, owed=False)
    log = PostgresIntents(database)
    await log.insert([intent], owner=owner)
    assert await log.is_owing(intent.generation, intent.epoch) is False
    await hinted.take([Hint(intent, owner)], owner=owner)
    assert await log.is_owing(intent.generation, intent.epoch) is True


async def test_what_a_hint_may_build_on_is_owed(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Another client's write, whose end nobody saw, may have taken its point out of a filter's reach (R11)."""
    state = await staged(control, Stage.RAMP)
    log, unseen = PostgresIntents(database), intent_of(state, 1, owed=False)
    await log.insert([unseen], owner=owner)
    hint = intent_of(state, 2)
    await hinted.take([Hint(hint, owner)], owner=owner)
    assert {row["id"]: row["owed"] for row in await rows(database)} == {
        unseen.id: True, hint.id: True,
    }  # fmt: skip


async def test_hints_of_a_dropped_generation_are_left_out(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """There is nothing to make equal any more; the others of the page are taken."""
    state = await staged(control, Stage.SHADOW)
    good = intent_of(state, 1)
    gone = intent_of(replace(state, generation=4_711), 1)
    await hinted.take([Hint(gone, owner), Hint(good, owner)], owner=owner)
    assert await ledger(database) == {good.id}


@pytest.mark.parametrize("stage", [Stage.LIVE, Stage.OFF])
async def test_where_the_source_is_not_right_nothing_is_taken(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database, stage: Stage
) -> None:
    """What is still read then was moved before, or was refused; an intent would never be settled."""
    state = await staged(control, Stage.SHADOW)
    async with database.connection() as connection:
        await connection.execute("UPDATE vecferry.control SET stage = $1", stage.value)
    await hinted.take([Hint(intent_of(state, 1), owner)], owner=owner)
    assert not await ledger(database)


async def test_a_hint_that_waits_for_a_stage_change_sees_its_result(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The change looks at the ledger after it has locked the row: what is taken comes before it, or is refused (R5)."""
    state = await staged(control, Stage.SHADOW)
    hint = Hint(intent_of(state, 1), owner)
    async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
        await connection.execute("SELECT 1 FROM vecferry.control WHERE name = 'c' FOR UPDATE")
        taking = tasks.create_task(hinted.take([hint], owner=owner))
        await until_one_waits(database)
        await connection.execute("UPDATE vecferry.control SET stage = 'live', epoch = epoch + 1")
        assert not taking.done()
    assert not await ledger(database)
    assert (await current(control)).stage is Stage.LIVE


async def test_only_an_instance_that_others_wait_for_takes_hints(
    hinted: PostgresHinted, control: PostgresControl, database: Database
) -> None:
    """What a fenced one took would be adopted at once, while the request of the hint may still be under way."""
    intent = intent_of(await staged(control, Stage.SHADOW), 1)
    with pytest.raises(TargetUnavailable, match="instance"):
        await hinted.take([Hint(intent, uuid4())], owner=uuid4())
    assert not await ledger(database)


async def test_taking_is_a_sign_of_life(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A taker is adopted from only a whole grace period after it took, however long it was silent before (R7)."""
    hint = Hint(intent_of(await staged(control, Stage.SHADOW), 1), uuid4())
    await silence(database, owner, 100)
    await hinted.take([hint], owner=owner)
    log, heir = PostgresIntents(database), await registered(control)
    assert await log.adopt_orphans(owner=heir, silent_seconds=65, limit=9) == []
    await silence(database, owner, 100)
    adopted = await log.adopt_orphans(owner=heir, silent_seconds=65, limit=9)
    assert [entry.id for entry in adopted] == [hint.intent.id]


async def test_who_was_heard_of_is_live(
    hinted: PostgresHinted, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """By the database's clock."""
    silent = await registered(control)
    await silence(database, silent, 11)
    assert await hinted.live_owners(silent_seconds=10) == {owner}
    assert await hinted.live_owners(silent_seconds=12) == {owner, silent}
