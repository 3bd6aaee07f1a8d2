"""Migrations on real databases."""

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.errors import ConfigurationError
from service.stores.postgres.migrate import migrate, migrations


async def test_each_file_runs_once(empty_database_url: str) -> None:
    """The second run has nothing to do."""
    names = [migration.name for migration in migrations()]
    assert names[0] == "0001_catalog.sql"
    assert await migrate(empty_database_url) == names
    assert await migrate(empty_database_url) == []


async def test_processes_may_start_together(empty_database_url: str) -> None:
    """One applies everything, the others wait and find it done."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(migrate(empty_database_url)) for _ in range(4)]
    assert sorted(len(run.result()) for run in runs) == [0, 0, 0, len(migrations())]


async def test_a_role_that_may_not_create_the_extension_is_told_so(empty_database_url: str) -> None:
    """The error names the statement for the administrator, and nothing is left half done."""
    connection = await asyncpg.connect(empty_database_url)
    role = "vecferry_weak"
    await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'weak'")
    try:
        parts = urlsplit(empty_database_url)
        host = parts.netloc.rpartition("@")[2]
        weak = urlunsplit(parts._replace(netloc=f"{role}:weak@{host}"))
        with pytest.raises(ConfigurationError, match="CREATE EXTENSION vector"):
            await migrate(weak)
        assert await connection.fetchval("SELECT to_regnamespace('vecferry')") is None
    finally:
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()


async def test_names_are_numbered_without_gaps() -> None:
    """0001, 0002 …, so that two branches cannot take the same number unseen."""
    numbers = [int(migration.name[:4]) for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
