"""Replication lag as a real standby shows it, to roles with rights and without."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.embedded.postgres import EmbeddedPostgres, _free_port
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.migrate import migrate
from service.stores.postgres.pressure import ServerPressure


@dataclass
class _Pair:
    """The address of a primary, and a connection to its standby."""

    url: str
    standby: Connection


async def _connected(url: str) -> Connection:
    """Connect as soon as the server lets anybody in."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncpg.connect(url)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.1)


@pytest.fixture
async def pair() -> AsyncIterator[_Pair]:
    """A primary and its standby, of the same binaries."""
    with TemporaryDirectory(prefix="vecferry-standby-") as directory:
        primary = EmbeddedPostgres(Path(directory))
        url = await asyncio.to_thread(primary.start)
        await migrate(url)
        parts, data, port = urlsplit(url), Path(directory) / "standby", _free_port()
        data.mkdir(mode=0o700)
        primary._give_away(data)
        source = urlunsplit(parts._replace(path="/postgres"))
        copy = ["pg_basebackup", "-D", str(data), "-R", "-c", "fast", "-d", source]
        await asyncio.to_thread(primary._run, copy)
        settings = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
        with (Path(directory) / "standby.log").open("wb") as log:
            options = [part for each in settings for part in ("-c", each)]
            server = primary._spawn(["postgres", "-D", str(data), *options], log)
            address = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
            standby = await _connected(urlunsplit(parts._replace(netloc=address)))
            yield _Pair(url, standby)
            standby.terminate()
            server.terminate()
            await asyncio.to_thread(server.wait)
        await asyncio.to_thread(primary.stop)


async def test_a_standby_that_does_not_replay_is_seen(pair: _Pair) -> None:
    """In bytes; Postgres measures seconds only of what was replayed. A plain role knows that it may not know."""
    database = await Database.open(pair.url)
    gauge = ServerPressure(database, most_unsettled=10)
    first = await gauge.read()
    assert first.lag_bytes is not None
    assert first.lag_bytes < 1e6
    await pair.standby.execute("SELECT pg_wal_replay_pause()")
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE written AS SELECT generate_series(1, 100000)")
        await connection.execute(
            "CREATE ROLE plain LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA vecferry TO plain;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA vecferry TO plain"
        )
    behind = await gauge.read()
    assert behind.lag_bytes is not None
    assert behind.lag_bytes > 3e6
    await pair.standby.execute("SELECT pg_wal_replay_resume()")
    async with asyncio.timeout(20):
        while (await gauge.read()).lag_bytes:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
    parts = urlsplit(pair.url)
    address = parts._replace(netloc=f"plain:p@{parts.hostname}:{parts.port}")
    plain = await Database.open(urlunsplit(address))
    found = await ServerPressure(plain, most_unsettled=10).read()
    assert found.unreadable == ("replication lag",)
    assert (found.lag_bytes, found.lag_seconds) == (None, None)
    await plain.close()
    await database.close()
