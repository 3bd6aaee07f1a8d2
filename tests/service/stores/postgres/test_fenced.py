"""Writes that hold only under the stage that the writer believes in."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from service.errors import PointNotFound, StaleEpoch
from service.model.ids import encode_key
from service.model.operations import ByFilter, ByIds, Delete, SetPayload, Upsert
from service.model.qdrant import FieldCondition, Filter, MatchValue, Range
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.intents import PostgresIntents
from tests.service.stores.postgres.staged import (
    ledger,
    numbers,
    point,
    staged,
    until_one_waits,
)


@pytest.fixture
def store(database: Database) -> FencedPgStore:
    """The store whose writes are fenced."""
    return FencedPgStore(database)


async def test_data_and_outbox_commit_together(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A write leaves its points and one owed intent about them, with the source behind."""
    state, outbox = await staged(control, Stage.LIVE), uuid4()
    _, keys = await store.apply_fenced(
        "c", Upsert([point(2), point(1)]), state, owner=owner, outbox=outbox
    )
    assert await numbers(database, 1, 2) == {1: 1.0, 2: 1.0}
    page = await PostgresIntents(database).open_entries(owner=owner, after=None, limit=10)
    (entry,) = page.entries
    assert (entry.id, entry.behind, entry.keys) == (outbox, Side.SOURCE, tuple(keys))
    assert list(keys) == [encode_key(1), encode_key(2)]


async def test_a_refused_operation_leaves_no_outbox(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The intent was inserted before the operation failed; both are rolled back."""
    state = await staged(control, Stage.LIVE)
    missing = SetPayload(ByIds((1,)), {"a": 1})
    with pytest.raises(PointNotFound):
        await store.apply_fenced("c", missing, state, owner=owner, outbox=uuid4())
    assert not await ledger(database)


@pytest.mark.parametrize("is_mirrored", [True, False])
async def test_a_stale_write_changes_nothing(
    store: FencedPgStore,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    is_mirrored: bool,
) -> None:
    """With an outbox or without one, an old epoch is refused before the data is touched (R5)."""
    state = await staged(control, Stage.LIVE if is_mirrored else Stage.COMPLETE)
    old = replace(state, epoch=state.epoch - 1)
    with pytest.raises(StaleEpoch):
        await store.apply_fenced(
            "c", Upsert([point(1)]), old, owner=owner, outbox=uuid4() if is_mirrored else None
        )
    assert await numbers(database, 1) == {}
    assert not await ledger(database)


@pytest.mark.parametrize("outbox", [uuid4(), None])
async def test_a_write_that_waits_for_a_stage_change_sees_its_result(
    store: FencedPgStore,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    outbox: UUID | None,
) -> None:
    """A rollback that commits while the write waits for the row refuses it."""
    state = await staged(control, Stage.LIVE)

    async def stale() -> None:
        with pytest.raises(StaleEpoch):
            await store.apply_fenced("c", Upsert([point(1)]), state, owner=owner, outbox=outbox)

    async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
        await connection.execute("UPDATE vecferry.control SET epoch = epoch + 1, stage = 'shadow'")
        tasks.create_task(stale())
        await until_one_waits(database)
    assert await numbers(database, 1) == {}
    assert not await ledger(database)


async def test_a_fenced_owner_writes_nothing(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """An instance that was given up for dead cannot write to the target either."""
    state = await staged(control, Stage.LIVE)
    await control.leave(owner)
    with pytest.raises(StaleEpoch):
        await store.apply_fenced("c", Upsert([point(1)]), state, owner=owner, outbox=uuid4())
    assert await numbers(database, 1) == {}


async def test_complete_needs_no_outbox(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Where the source is no longer touched, nothing is owed to it."""
    state = await staged(control, Stage.COMPLETE)
    await store.apply_fenced("c", Upsert([point(1)]), state, owner=owner, outbox=None)
    assert await numbers(database, 1) == {1: 1.0}
    assert not await ledger(database)


async def test_an_operation_that_touches_nothing_leaves_no_intent(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A filter without matches is checked against the epoch all the same."""
    state = await staged(control, Stage.LIVE)
    nobody = Delete(ByFilter(Filter(must=[FieldCondition(key="n", match=MatchValue(value=7))])))
    _, keys = await store.apply_fenced("c", nobody, state, owner=owner, outbox=uuid4())
    assert list(keys) == []
    assert not await ledger(database)
    with pytest.raises(StaleEpoch):
        await store.apply_fenced(
            "c", nobody, replace(state, epoch=state.epoch + 1), owner=owner, outbox=uuid4()
        )


async def test_the_outbox_of_a_filter_names_what_it_matched(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The filter is resolved once; the intent holds the ids that were written."""
    state = await staged(control, Stage.LIVE)
    await store.apply_fenced(
        "c", Upsert([point(1, 7.0), point(2, 8.0)]), state, owner=owner, outbox=None
    )
    matching = Delete(ByFilter(Filter(must=[FieldCondition(key="n", range=Range(lt=8))])))
    _, keys = await store.apply_fenced("c", matching, state, owner=owner, outbox=uuid4())
    assert list(keys) == [encode_key(1)]
    assert await numbers(database, 1, 2) == {2: 8.0}


async def test_a_write_and_a_drop_do_not_wait_for_each_other(
    store: FencedPgStore, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A drop holds the control row and then takes the collection's; a write never holds the latter alone."""
    state = await staged(control, Stage.LIVE)

    async def stale() -> None:
        with pytest.raises(StaleEpoch):
            await store.apply_fenced("c", Upsert([point(1)]), state, owner=owner, outbox=uuid4())

    async with asyncio.TaskGroup() as tasks, database.transaction() as dropping:
        await dropping.execute("SELECT 1 FROM vecferry.control WHERE name = 'c' FOR UPDATE")
        tasks.create_task(stale())
        await until_one_waits(database)
        await dropping.execute("DELETE FROM vecferry.collections WHERE name = 'c'")
    assert not await ledger(database)
