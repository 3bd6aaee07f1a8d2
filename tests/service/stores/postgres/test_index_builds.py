"""Index builds of several instances, and of several kinds, get along with each other and with death."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.model.operations import CreateIndex, Upsert
from service.stages import Stage
from service.stores.postgres import catalog, hnsw, index_builds
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.graph_keeper import GraphKeeper
from service.stores.postgres.hnsw import BuildLimits
from service.stores.postgres.index_builds import Built
from service.stores.postgres.payload_indexes import sync_indexes
from service.stores.postgres.store import PgStore
from tests.service.running import running
from tests.service.stores.postgres.staged import point, staged

_MOMENT = 0.3


@pytest.fixture
async def tables(control: PostgresControl, database: Database) -> CollectionTables:
    """A collection of five points with a payload index that has no SQL index yet."""
    await staged(control, Stage.LIVE)
    store = PgStore(database)
    await store.apply("c", CreateIndex("n", "integer"), wait=True)
    await store.apply("c", Upsert([point(number) for number in range(5)]), wait=True)
    async with database.connection() as connection:
        return await catalog.get(connection, "c")


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """Another instance's pool."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def _index(database: Database, tables: CollectionTables) -> int:
    """Return the number of the vectors' index, which is another one after it was made anew."""
    async with database.connection() as connection:
        found: int = await connection.fetchval(
            "SELECT to_regclass($1)::oid::bigint", tables.vectors[""].index.quoted()
        )
    return found


@asynccontextmanager
async def _holding_up(database: Database, tables: CollectionTables) -> AsyncIterator[None]:
    """Be a writer of the vectors: a build waits for all that there are when it begins."""
    async with database.transaction() as writer:
        await writer.execute(
            f"LOCK TABLE {tables.vectors[''].table.quoted()} IN ROW EXCLUSIVE MODE"
        )
        yield


def _die(database: Database) -> None:
    """Cut all connections as a process does that is killed: nobody tells the server to stop."""
    assert database._pool is not None
    for holder in database._pool._holders:
        if holder._con is not None:
            holder._con._transport.abort()


async def _until_begun(database: Database) -> None:
    query = "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE datname = current_database())"
    async with asyncio.timeout(10), database.connection() as connection:
        while not await connection.fetchval(query):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_who_comes_during_a_build_waits_and_finds_it_done(
    tables: CollectionTables, database: Database, other: Database
) -> None:
    """An index that is being built looks like one whose build failed: nobody drops it."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        async with _holding_up(database, tables):
            first = tasks.create_task(hnsw.build_indexes(database, tables))
            await _until_begun(database)
            second = tasks.create_task(hnsw.build_indexes(other, tables))
            await asyncio.sleep(_MOMENT)
            built = await _index(database, tables)
        assert [index.vector for index in await first] == [""]
        assert await second == []
        assert await _index(database, tables) == built


async def test_a_build_that_outlives_its_instance_is_waited_for(
    tables: CollectionTables, database: Database, other: Database, database_url: str
) -> None:
    """The server goes on with a statement whose client is gone; what it builds is not thrown away."""
    dying = await Database.open(database_url)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks, _holding_up(database, tables):
        tasks.create_task(GraphKeeper(dying, min_rows=1).look())
        await _until_begun(database)
        _die(dying)
        second = tasks.create_task(hnsw.build_indexes(other, tables))
        await asyncio.sleep(_MOMENT)
        built = await _index(database, tables)
    assert second.result() == []
    assert await _index(database, tables) == built
    async with database.connection() as connection:
        assert await hnsw.has_index(connection, tables.vectors[""])


async def test_a_graph_holds_up_no_payload_index(
    tables: CollectionTables, database: Database, other: Database
) -> None:
    """The one may take hours, the other takes seconds."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks, _holding_up(database, tables):
        graph = tasks.create_task(GraphKeeper(database, min_rows=1).look())
        await _until_begun(database)
        assert await sync_indexes(other, tables)
        assert not graph.done()


async def test_large_builds_of_a_database_take_turns(
    tables: CollectionTables, database: Database, other: Database
) -> None:
    """Each takes all the memory that a build may take; the one that waits says so, a small one does not wait."""
    store = PgStore(other)
    notes: list[str | None] = []
    more = {}
    for name in ("large", "small"):
        await store.create_collection(name, tables.config)
        await store.apply(name, Upsert([point(1)]), wait=True)
        async with other.connection() as connection:
            more[name] = await catalog.get(connection, name)
    no_memory = BuildLimits(megabytes=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        async with _holding_up(database, tables):
            tasks.create_task(hnsw.build_indexes(database, tables, limits=no_memory))
            await _until_begun(database)
            second = tasks.create_task(
                hnsw.build_indexes(other, more["large"], limits=no_memory, note=notes.append)
            )
            assert await hnsw.build_indexes(other, more["small"])
            await asyncio.sleep(_MOMENT)
            assert not second.done()
            assert set(notes) == {"waiting for another index build to end"}
        assert [index.vector for index in await second] == [""]


async def test_who_is_cancelled_while_it_asks_for_its_turn_keeps_none(
    tables: CollectionTables,
    database: Database,
    other: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A turn is the session's, and sessions are pooled: one that is left on it would keep all builds waiting."""
    slowly = "SELECT pg_try_advisory_lock($1, $2) FROM pg_sleep(0.02)"
    monkeypatch.setattr(index_builds, "_TRY", slowly)

    async def build() -> None:
        async with index_builds.builder(database, Built.GRAPHS, tables.id, is_large=True):
            await asyncio.Event().wait()

    query = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = ANY ($1::bigint[])"
    )
    seen: set[int] = set()
    async with other.connection() as connection:
        for milliseconds in range(5, 100, 5):
            async with running(build()):
                await asyncio.sleep(milliseconds / 1_000)
                seen.add(await connection.fetchval(query, list(Built)))
            assert await connection.fetchval(query, list(Built)) == 0
    assert seen == {0, 1, 2}
