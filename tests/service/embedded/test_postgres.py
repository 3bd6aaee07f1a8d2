"""The embedded Postgres: what it is, who may enter, and that it comes back."""

import importlib.util
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from service.embedded.postgres import EmbeddedPostgres
from service.errors import ConfigurationError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one cluster for all tests of this module."""
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    """A server that is stopped afterwards."""
    postgres = EmbeddedPostgres(data_dir)
    yield postgres
    postgres.stop()


async def fetch(dsn: str, query: str) -> object:
    """Return one value."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_is_postgres_18_with_pgvector(server: EmbeddedPostgres) -> None:
    """The vector extension can be created, and the settings that keep data safe are on."""
    dsn = server.start()
    assert server.start() == dsn
    assert await fetch(dsn, "SELECT current_setting('server_version_num')::int / 10000") == 18
    await fetch(dsn, "CREATE EXTENSION IF NOT EXISTS vector")
    assert await fetch(dsn, "SELECT '[1,2]'::vector <-> '[1,4]'::vector") == 2.0
    for setting in ("fsync", "full_page_writes", "data_checksums"):
        assert await fetch(dsn, f"SHOW {setting}") == "on"
    assert await fetch(dsn, "SHOW listen_addresses") == "127.0.0.1"
    assert (server.bin_path / "pg_dump").is_file()


async def test_the_password_is_needed_and_private(server: EmbeddedPostgres, data_dir: Path) -> None:
    """Nobody enters with another password, and only its owner can read it."""
    dsn = server.start()
    password = (data_dir / "password").read_text()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await fetch(dsn.replace(password, "wrong"), "SELECT 1")
    assert stat.S_IMODE((data_dir / "password").stat().st_mode) == 0o600


async def test_it_comes_back_after_a_kill(server: EmbeddedPostgres, data_dir: Path) -> None:
    """What was committed is there after SIGKILL, although ``postmaster.pid`` was left behind."""
    dsn = server.start()
    await fetch(dsn, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS value")
    pid = int((data_dir / "cluster" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    assert server.wait(10) == -signal.SIGKILL
    assert not server.is_running
    assert await fetch(server.start(), "SELECT value FROM kept") == 42


async def test_a_server_whose_parent_was_killed_is_replaced(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    """A leftover server that still runs is stopped before the new one starts."""
    orphaned = EmbeddedPostgres(data_dir)
    orphaned.start()
    orphaned._release_lock()  # what the kernel does when a process is killed
    dsn = server.start()
    assert orphaned.wait(10) is not None
    assert await fetch(dsn, "SELECT 1") == 1


def test_a_directory_in_use_is_refused(server: EmbeddedPostgres, data_dir: Path) -> None:
    """A second vecferry neither shares the server nor stops it."""
    server.start()
    with pytest.raises(ConfigurationError, match="in use by another process"):
        EmbeddedPostgres(data_dir).start()
    assert server.is_running


def test_without_the_wheel_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra and the setting that replaces it are named."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"VECFERRY_DATABASE_URL.*extra `embedded`"):
        EmbeddedPostgres(tmp_path).start()
