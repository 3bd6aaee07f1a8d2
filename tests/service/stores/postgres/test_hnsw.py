"""Builds of HNSW indexes: their memory, their notices, their failures."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from unittest.mock import AsyncMock

import asyncpg
import pytest

from service.errors import StoreError, TargetUnavailable
from service.model.qdrant import CreateCollection
from service.stores.configuration import vector_specs
from service.stores.postgres import catalog, ddl, hnsw
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.ddl import GraphOptions
from service.stores.postgres.graph_sizes import build_megabytes, index_bytes
from service.stores.postgres.hnsw import BuildLimits, memory_cap
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import Identifier

_DIMENSIONS = 64
_ROWS = 3000
_QUICK = BuildLimits(first_pause_seconds=0.05)
_FILL = """
    INSERT INTO {table} (key, embedding)
    SELECT decode(lpad(to_hex(n), 34, '0'), 'hex'),
        (SELECT array_agg(random()) FROM generate_series(1, $2) WHERE n > 0)::vector
    FROM generate_series(1, $1) AS n
"""


@pytest.fixture
async def tables(database: Database) -> CollectionTables:
    """A collection with some thousand vectors."""
    config = CreateCollection.model_validate(
        {"vectors": {"size": _DIMENSIONS, "distance": "Euclid"}}
    )
    async with database.transaction() as connection:
        made = await catalog.create(connection, "c", config)
        await connection.execute(
            _FILL.format(table=made.vectors[""].table.quoted()), _ROWS, _DIMENSIONS
        )
    return made


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Connection]:
    """Somebody else's connection."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(database_url: str, tables: CollectionTables) -> AsyncIterator[Connection]:
    """A transaction that builds have to wait for."""
    connection = await asyncpg.connect(database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        f"LOCK TABLE {tables.vectors[''].table.quoted()} IN ROW EXCLUSIVE MODE"
    )
    yield connection
    await connection.close()


async def _cancel_build(conn: Connection) -> None:
    """Cancel the build that runs, as an administrator does."""
    query = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_progress_create_index WHERE datname = current_database()"
    async with asyncio.timeout(10):
        while not await conn.fetchval(query):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def _is_there(conn: Connection, tables: CollectionTables) -> bool:
    name = tables.vectors[""].index.quoted()
    return bool(await conn.fetchval("SELECT to_regclass($1) IS NOT NULL", name))


async def test_a_graph_that_does_not_fit_is_reported(
    database: Database, tables: CollectionTables, database_url: str
) -> None:
    """In the result, whatever the role's message level is; the session is as before afterwards."""
    async with database.connection() as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET client_min_messages = error")
    quiet = await Database.open(database_url)
    notes: list[str | None] = []
    [built] = await hnsw.build_indexes(
        quiet, tables, limits=BuildLimits(megabytes=1), note=notes.append
    )
    assert built.megabytes == 1
    assert built.rows == _ROWS
    assert built.spilled is not None
    assert built.spilled.startswith("hnsw graph no longer fits")
    assert built.to_json()["spilled"] == built.spilled
    assert notes[-1] is None
    async with quiet.connection() as connection:
        assert await connection.fetchval("SHOW maintenance_work_mem") == "512MB"
        assert await connection.fetchval("SHOW min_parallel_table_scan_size") == "8MB"
    await quiet.close()


async def test_a_build_says_how_far_it_is(
    database: Database, tables: CollectionTables, writer: Connection
) -> None:
    """While it waits for an older writer, the note says so."""
    notes: list[str | None] = []
    limits = replace(_QUICK, megabytes=256, workers=1)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        build = tasks.create_task(
            hnsw.build_indexes(database, tables, limits=limits, note=notes.append)
        )
        while not notes:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        await writer.execute("COMMIT")
    [built] = build.result()
    assert "building vectors_1_0_hnsw: waiting for writers before build" in str(notes[0])
    assert "0 of 1 transactions waited for" in str(notes[0])
    assert notes[-1] is None
    assert built.megabytes == 64
    assert built.spilled is None


async def test_a_cancelled_build_is_cleaned_and_tried_again(
    database: Database, tables: CollectionTables, conn: Connection, writer: Connection
) -> None:
    """The invalid index of the first attempt does not stay, and the note says what happened."""
    notes: list[str | None] = []
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        build = tasks.create_task(
            hnsw.build_indexes(database, tables, limits=_QUICK, note=notes.append)
        )
        await _cancel_build(conn)
        await writer.execute("COMMIT")
    [built] = build.result()
    assert built.retried == 1
    assert any("is tried again in" in (note or "") for note in notes)
    async with database.connection() as connection:
        assert await hnsw.has_index(connection, tables.vectors[""])


async def test_the_last_failure_leaves_nothing_behind(
    database: Database, tables: CollectionTables, conn: Connection, writer: Connection
) -> None:
    """An invalid index would cost every write."""

    async def build() -> None:
        with pytest.raises(TargetUnavailable):
            await hnsw.build_indexes(database, tables, limits=BuildLimits(retries=0))

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(build())
        await _cancel_build(conn)
        # What cleans up waits for the writer as a build does.
        await asyncio.sleep(0.1)
        assert await _is_there(conn, tables)
        await writer.execute("COMMIT")
    assert not await _is_there(conn, tables)


async def test_who_gives_up_leaves_nothing_behind(
    database: Database, tables: CollectionTables, conn: Connection, writer: Connection
) -> None:
    """A job that is cancelled may be the last one of the collection."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        build = tasks.create_task(hnsw.build_indexes(database, tables))
        while not await _is_there(conn, tables):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        build.cancel()
        await asyncio.sleep(0.1)
        assert await _is_there(conn, tables)
        await writer.execute("COMMIT")
    assert not await _is_there(conn, tables)
    async with database.connection() as connection:
        assert await connection.fetchval("SHOW lock_timeout") == "5s"


async def test_it_is_not_tried_for_ever(
    database: Database, tables: CollectionTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that stays full is for an operator."""
    configure = AsyncMock(side_effect=asyncpg.DiskFullError("no space left on device"))
    monkeypatch.setattr(hnsw, "_configure", configure)
    with pytest.raises(TargetUnavailable, match="no space left"):
        await hnsw.build_indexes(database, tables, limits=replace(_QUICK, retries=2))
    assert configure.await_count == 3


async def test_what_does_not_pass_is_raised_at_once(
    database: Database, tables: CollectionTables, conn: Connection
) -> None:
    """A table that is gone does not come back."""
    await conn.execute(f"DROP TABLE {tables.vectors[''].table.quoted()}")
    async with asyncio.timeout(5):
        with pytest.raises(StoreError, match="42P01"):
            await hnsw.build_indexes(database, tables)


async def test_without_shared_memory_it_is_built_without_workers(
    database: Database, tables: CollectionTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers often have 64 MB of it."""
    tried: list[int | None] = []
    configure = hnsw._configure

    async def short_of_memory(
        connection: Connection, rows: int, wanted: object, workers: int | None
    ) -> int:
        tried.append(workers)
        if workers != 0:
            raise asyncpg.DiskFullError("could not resize shared memory segment: No space left")
        return await configure(connection, rows, wanted, workers)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(hnsw, "_configure", short_of_memory)
    [built] = await hnsw.build_indexes(database, tables, limits=_QUICK)
    assert (tried, built.retried, built.workers) == ([None, 0], 1, 0)


def _table(size: int, **more: object) -> VectorTable:
    params = {"size": size, "distance": "Cosine", **more}
    [spec] = vector_specs(CreateCollection.model_validate({"vectors": params})).values()
    return VectorTable("", Identifier(("d", "vectors_1_0")), spec, "public")


def test_memory_for_a_build_grows_with_the_rows() -> None:
    """100,000 rows of 384 dimensions need about 2.4 kB each (measured); half precision takes half of the vector."""
    options = GraphOptions(16, 64)
    assert 240 < build_megabytes(100_000, _table(384), options) < 360
    assert 800 < build_megabytes(100_000, _table(1536), options) < 1000
    assert build_megabytes(10, _table(384), options) == 64
    half = build_megabytes(100_000, _table(1536, datatype="float16"), options)
    assert half < 0.65 * build_megabytes(100_000, _table(1536), options)
    wide = build_megabytes(100_000, _table(384), GraphOptions(64, 128))
    assert wide > 1.5 * build_megabytes(100_000, _table(384), options)


def test_the_size_of_an_index_is_that_of_its_pages() -> None:
    """2.0 kB a row at 384 dimensions, a page a row at 1536 (measured)."""
    options = GraphOptions(16, 64)
    assert index_bytes(1000, _table(384), options) == pytest.approx(2048 * 1000, rel=0.01)
    assert index_bytes(1000, _table(1536), options) == 8192 * 1000


@pytest.mark.parametrize(
    ("given", "maintenance", "buffers", "most"),
    [(0, 64, 128, 256), (0, 2048, 128, 2048), (0, 64, 8192, 16384), (300, 64, 8192, 300)],
)
def test_no_build_takes_more_than_the_server_or_the_operator_allows(
    given: int, maintenance: int, buffers: int, most: int
) -> None:
    """The operator's word goes before."""
    assert memory_cap(BuildLimits(megabytes=given), maintenance, buffers) == most


def test_the_statement_is_the_one_that_a_dry_run_shows() -> None:
    """Half precision beyond 2,000 dimensions."""
    text, values = ddl.graph(_table(3000), GraphOptions(16, 100)).render()
    assert values == []
    assert text == (
        'CREATE INDEX CONCURRENTLY "vectors_1_0_hnsw" ON "d"."vectors_1_0" USING hnsw'
        ' (((embedding::"public"."halfvec"(3000))) "public"."halfvec_ip_ops")'
        " WITH (m = 16, ef_construction = 100)"
    )
