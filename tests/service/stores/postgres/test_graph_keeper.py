"""Collections that fill by themselves get their HNSW index."""

import asyncio
from unittest.mock import AsyncMock

import pytest

from service.errors import ConfigurationError
from service.model.operations import Upsert
from service.stages import Stage
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.graph_keeper import GraphKeeper
from service.stores.postgres.store import PgStore
from tests.service.running import running
from tests.service.stores.postgres.staged import CONFIG, current, point, staged


async def _is_indexed(database: Database, name: str) -> bool:
    async with database.connection() as connection:
        tables = await catalog.get(connection, name)
        return await hnsw.has_index(connection, tables.vectors[""])


async def test_an_index_is_built_when_there_are_enough_rows(
    control: PostgresControl, database: Database
) -> None:
    """Not before, and once, whatever two instances do."""
    await staged(control, Stage.LIVE)
    store = PgStore(database)
    keepers = [GraphKeeper(database, min_rows=5, look_seconds=0.02) for _ in range(2)]
    await store.apply("c", Upsert([point(number) for number in range(4)]), wait=True)
    await keepers[0].look()
    assert not await _is_indexed(database, "c")
    await store.apply("c", Upsert([point(9)]), wait=True)
    async with running(*(keeper.run() for keeper in keepers)), asyncio.timeout(10):
        while not await _is_indexed(database, "c"):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_a_collection_that_is_being_copied_waits(
    control: PostgresControl, database: Database
) -> None:
    """It gets its index with the copy."""
    await control.arm("c", CONFIG, actor="test", is_new=False)
    await PgStore(database).apply("c", Upsert([point(1), point(2)]), wait=True)
    keeper = GraphKeeper(database, min_rows=1)
    await keeper.look()
    assert not await _is_indexed(database, "c")
    state = await current(control)
    assert state.generation is not None
    await control.mark_backfilled("c", state.generation)
    await keeper.look()
    assert await _is_indexed(database, "c")


async def test_what_failed_is_left_alone_for_a_while(
    control: PostgresControl, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails takes long; nobody gains by one after the other."""
    await staged(control, Stage.LIVE)
    await PgStore(database).apply("c", Upsert([point(1)]), wait=True)
    keeper = GraphKeeper(database, min_rows=1)
    failing = AsyncMock(side_effect=ConfigurationError("no memory"))
    with monkeypatch.context() as patched:
        patched.setattr(hnsw, "build_indexes", failing)
        await keeper.look()
        await keeper.look()
    assert failing.await_count == 1
    await keeper.look()
    assert not await _is_indexed(database, "c")
