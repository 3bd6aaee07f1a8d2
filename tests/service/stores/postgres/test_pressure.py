"""What the throttle sees of a real server, with rights and without."""

import itertools
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from service.errors import TargetUnavailable
from service.stores.postgres import pressure
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.pressure import ServerPressure

_ROLES = itertools.count(1)


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Connection]:
    """A superuser's connection."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def _intents(conn: Connection, count: int, *, dead: bool) -> None:
    await conn.execute(
        "INSERT INTO vecferry.intents (id, generation, epoch, owner, behind, owed, keys, cause, dead)"
        " SELECT gen_random_uuid(), 1, 1, gen_random_uuid(), 'target', false, '', 'test', $2"
        " FROM generate_series(1, $1)",
        count,
        dead,
    )


async def test_a_server_alone(database: Database, conn: Connection) -> None:
    """No standby and no archive are no lag; what is written and who is connected is seen."""
    gauge = ServerPressure(database, most_unsettled=100)
    first = await gauge.read()
    assert (first.lag_seconds, first.lag_bytes, first.unarchived_segments) == (None, None, None)
    assert (first.client_p99_ms, first.unsettled, first.unreadable) == (None, 0, ())
    assert first.connections is not None
    assert 0.02 <= first.connections < 1
    await conn.execute("CREATE TABLE written AS SELECT generate_series(1, 10000)")
    second = await gauge.read()
    assert first.wal_bytes is not None
    assert second.wal_bytes is not None
    assert second.wal_bytes - first.wal_bytes > 100_000
    assert second.at > first.at


async def test_the_slowest_live_instance_counts(database: Database, conn: Connection) -> None:
    """What an instance said that is gone or silent counts no more."""
    control, gauge = PostgresControl(database), ServerPressure(database, most_unsettled=0)
    quick, slow, gone = uuid4(), uuid4(), uuid4()
    for instance, milliseconds in ((quick, 5.0), (slow, 80.0), (gone, 900.0)):
        await control.register(instance)
        assert await control.confirm(instance, 1, client_p99_ms=milliseconds)
    await conn.execute(
        "UPDATE vecferry.instances SET heartbeat_at = now() - interval '11 s' WHERE id = $1", gone
    )
    assert (await gauge.read()).client_p99_ms == 80.0
    await control.leave(slow)
    assert (await gauge.read()).client_p99_ms == 5.0
    assert await control.confirm(quick, 1)
    assert (await gauge.read()).client_p99_ms is None


async def test_unsettled_intents_are_counted_up_to_a_bound(
    database: Database, conn: Connection
) -> None:
    """Dead letters wait for an operator: they would hold the jobs up for ever."""
    await _intents(conn, 7, dead=False)
    await _intents(conn, 5, dead=True)
    assert (await ServerPressure(database, most_unsettled=100).read()).unsettled == 7
    assert (await ServerPressure(database, most_unsettled=4).read()).unsettled == 4


async def test_a_plain_role_reads_what_it_may(database_url: str, conn: Connection) -> None:
    """A role without rights on the server's statistics, through what looks like a pooler."""
    role = f"plain_{next(_ROLES)}_{uuid4().hex[:8]}"
    await conn.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'p';"
        f" GRANT USAGE ON SCHEMA vecferry TO {role};"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA vecferry TO {role}"
    )
    parts = urlsplit(database_url)
    address = parts._replace(netloc=f"{role}:p@{parts.hostname}:{parts.port}")
    plain = await Database.open(urlunsplit(address), pooled=True)
    try:
        found = await ServerPressure(plain, most_unsettled=10).read()
        assert found.wal_bytes is not None
        assert found.connections is not None
    finally:
        await plain.close()
        await conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_server_that_says_nothing_of_itself(
    database: Database, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then our own tables are read; it is asked once."""
    monkeypatch.setattr(pressure, "_ALL", pressure._ALL.replace("pg_current_wal_lsn", "no_such"))
    gauge = ServerPressure(database, most_unsettled=10)
    await _intents(conn, 3, dead=False)
    for _ in range(2):
        found = await gauge.read()
        assert (found.unsettled, found.wal_bytes) == (3, None)
        assert found.unreadable == ("replication lag", "WAL", "WAL archive")
        monkeypatch.setattr(pressure, "_ALL", "SELECT 1/0")


async def test_a_server_that_is_away_is_not_one_that_refuses(database_url: str) -> None:
    """It is asked for everything again."""
    closed = Database(database_url)
    gauge = ServerPressure(closed, most_unsettled=10)
    with pytest.raises(TargetUnavailable):
        await gauge.read()
    await closed.connect()
    try:
        assert (await gauge.read()).unreadable == ()
    finally:
        await closed.close()


@pytest.mark.parametrize(
    ("name", "position", "behind"),
    [
        ("000000010000000000000004", "0/5000028", 0),
        ("000000010000000000000004", "0/F000028", 10),
        ("0000000100000002000000FE.00000028.backup", "3/02000000", 3),
        ("00000002.history", "3/02000000", None),
        (None, "3/02000000", None),
    ],
)
async def test_segments_that_wait_for_the_archive(
    conn: Connection, name: str | None, position: str, behind: int | None
) -> None:
    """Numbers of files of 16 MB: 256 of them are one of the higher half."""
    statement = (
        pressure._ALL.replace("pg_catalog.pg_current_wal_lsn()", f"'{position}'::pg_lsn")
        .replace("current_setting('archive_mode')", "'on'")
        .replace(
            "pg_catalog.pg_stat_archiver", "(SELECT $3::text AS last_archived_wal) AS archiver"
        )
    )
    row = await conn.fetchrow(statement, 10.0, 1, name)
    assert row["unarchived_segments"] == behind
