"""Connections: what is refused, what is translated, what an uncommon installation needs."""

import asyncio
import time

import asyncpg
import numpy as np
import pytest

from service.errors import ConfigurationError, StoreError, TargetUnavailable, WrongInput
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, QueryRequest, VectorParams
from service.stores.postgres.database import Database, Limits, check_version, is_pooler
from service.stores.postgres.migrate import migrate
from service.stores.postgres.store import PgStore


async def test_a_database_without_the_extension_is_refused(empty_database_url: str) -> None:
    """The error says what to do."""
    with pytest.raises(ConfigurationError, match="run the migrations"):
        await Database.open(empty_database_url)


def test_old_versions_of_pgvector_are_refused() -> None:
    """0.8 is the first with iterative scans; parts are compared as numbers."""
    for version in ("0.8.0", "0.8", "0.10.0", "1.0"):
        check_version(version)
    for version in ("0.7.4", "0.6.2"):
        with pytest.raises(ConfigurationError, match=r"too old: 0\.8 or newer"):
            check_version(version)


def test_the_poolers_port_is_recognised() -> None:
    """6543 is where transaction poolers listen."""
    assert is_pooler("postgresql://u:p@pooler.example:6543/postgres")
    assert not is_pooler("postgresql://u:p@db.example:5432/postgres")
    assert not is_pooler("postgresql:///postgres")


@pytest.mark.parametrize("pooled", [False, True])
async def test_everything_works_with_the_extension_in_a_schema_of_its_own(
    empty_database_url: str, pooled: bool
) -> None:
    """Types, operators and operator classes are found off the search path, also without prepared statements."""
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION vector SCHEMA extensions")
    await connection.close()
    await migrate(empty_database_url)
    database = await Database.open(empty_database_url, pooled=pooled)
    store = PgStore(database, index_min_rows=0)
    params = VectorParams(size=2, distance=Distance.EUCLID)
    await store.create_collection("things", CreateCollection(vectors=params))
    point = Point(1, {"": np.array([1, 2], dtype=np.float32)}, {})
    for _ in range(2):
        await store.apply("things", Upsert([point]), wait=True)
    if not pooled:
        assert await store.build_indexes("things") == [""]
    [hit] = await store.query("things", QueryRequest(query=[1.0, 0.0], with_vector=True))
    assert (hit.id, hit.score) == (1, 2.0)
    await database.close()


@pytest.mark.parametrize(("rows", "is_refused"), [(1, False), (2, True)])
async def test_an_index_build_behind_a_pooler_is_refused(
    database_url: str, rows: int, is_refused: bool
) -> None:
    """It needs session settings and hours; a table too small for an index needs none of that."""
    database = await Database.open(database_url, pooled=True)
    store = PgStore(database, index_min_rows=2)
    params = VectorParams(size=2, distance=Distance.EUCLID)
    await store.create_collection("things", CreateCollection(vectors=params))
    vector = np.array([1, 2], dtype=np.float32)
    points = [Point(number, {"": vector}, {}) for number in range(rows)]
    await store.apply("things", Upsert(points), wait=True)
    if is_refused:
        with pytest.raises(ConfigurationError, match="direct connection"):
            await store.build_indexes("things")
    else:
        assert await store.build_indexes("things") == []
    await database.close()


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_lock_is_not_waited_for_without_end(database_url: str, pooled: bool) -> None:
    """The limit holds on direct connections and, per transaction, behind a pooler."""
    database = await Database.open(database_url, pooled=pooled, limits=Limits(lock=0.1))
    async with database.transaction() as holder, asyncio.timeout(5):
        await holder.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(TargetUnavailable):
            await _run(database, "SELECT pg_advisory_xact_lock(1)")
    await database.close()


async def test_a_failed_block_is_rolled_back(database: Database) -> None:
    """Also when the error is not the database's, which then comes out as it is."""
    with pytest.raises(KeyError):
        await _create_and_fail(database)
    async with database.connection() as conn:
        assert await conn.fetchval("SELECT to_regclass('public.gone')") is None


async def test_nothing_listens(unused_tcp_port: int) -> None:
    """A server that is not there is unavailable, not a bug."""
    with pytest.raises(TargetUnavailable):
        await Database.open(f"postgresql://u:p@127.0.0.1:{unused_tcp_port}/x")


async def test_a_lost_connection_is_unavailable_and_the_pool_recovers(database: Database) -> None:
    """The next block gets a new connection."""
    with pytest.raises(TargetUnavailable):
        async with database.connection() as conn:
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    async with database.connection() as conn:
        assert await conn.fetchval("SELECT 1") == 1


_WHO = "SELECT pg_backend_pid()"


async def _backend(database: Database) -> int:
    async with database.connection() as conn:
        number: int = await conn.fetchval(_WHO)
        return number


async def test_nobody_waits_for_a_connection_that_is_kept(database_url: str) -> None:
    """What is given back goes to whoever waits for one, not aside for whoever comes next."""
    database = await Database.open(database_url, max_size=1)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(2), database.connection() as conn:
        waiting = [tasks.create_task(_backend(database)) for _ in range(3)]
        await asyncio.sleep(0.01)
        mine = await conn.fetchval(_WHO)
    assert [each.result() for each in waiting] == [mine] * 3
    await database.close()


async def test_a_kept_connection_that_was_lost_is_not_lent(database_url: str) -> None:
    """Its server ended while nobody used it; the next block does not notice."""
    database = await Database.open(database_url, max_size=1)
    kept = await _backend(database)
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1, 2000)", kept)
    await other.close()
    await asyncio.sleep(0.05)  # the end of the connection is read
    assert await _backend(database) != kept
    await database.close()


async def test_a_connection_that_was_kept_for_long_is_not_lent(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been cut off without a word; a new one takes its place in the pool."""
    monkeypatch.setattr("service.stores.postgres.database._KEPT_SECONDS", 0)
    database = await Database.open(database_url, max_size=1)
    assert await _backend(database) != await _backend(database)
    await database.close()


async def test_an_open_transaction_is_not_kept(database_url: str) -> None:
    """Whoever comes next begins outside of it."""
    database = await Database.open(database_url, max_size=1)
    async with database.connection() as conn:
        await conn.execute("BEGIN")
    async with database.connection() as conn:
        assert not conn.is_in_transaction()
    await database.close()


async def test_a_kept_connection_does_not_hold_up_the_end(database_url: str) -> None:
    """The pool waits for what is lent; this is not."""
    database = await Database.open(database_url)
    await _backend(database)
    began = time.monotonic()
    await database.close()
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1/0", WrongInput),
        ("SELECT * FROM nowhere", StoreError),
        ("SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(5)", TargetUnavailable),
    ],
)
async def test_the_drivers_errors_become_ours(
    database: Database, statement: str, expected: type[Exception]
) -> None:
    """By whose fault it is; the driver's error stays as the cause."""
    with pytest.raises(expected) as caught:
        await _run(database, statement)
    assert isinstance(caught.value.__cause__, asyncpg.PostgresError)


async def test_an_error_is_one_line(database: Database) -> None:
    """The server's DETAIL and HINT stay with the cause."""
    raising = "DO $$ BEGIN RAISE 'no' USING ERRCODE = '42704', DETAIL = 'why', HINT = 'how'; END $$"
    with pytest.raises(StoreError) as caught:
        await _run(database, raising)
    assert str(caught.value) == "the target (Postgres) answered 42704: no"
    assert "why" in str(caught.value.__cause__)


async def _create_and_fail(database: Database) -> None:
    async with database.transaction() as conn:
        await conn.execute("CREATE TABLE public.gone (id int)")
        raise KeyError


async def _run(database: Database, statement: str) -> None:
    async with database.transaction() as conn:
        await conn.execute(statement)
