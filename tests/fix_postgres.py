"""Fixtures on a real Postgres: ``VECFERRY_TEST_DATABASE_URL``, else one of our own for the test run."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.stores.postgres.database import Database
from service.stores.postgres.migrate import migrate

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server on which the tests may create databases."""
    given = os.environ.get("VECFERRY_TEST_DATABASE_URL")
    if given:
        yield given
        return
    # With a server given, the embedded one need not be installed.
    from service.embedded.postgres import EmbeddedPostgres  # noqa: PLC0415

    # Not below pytest's own directory: under root the server runs as another user, and the next
    # run of pytest takes that directory's search permission away from him.
    with TemporaryDirectory(prefix="vecferry-postgres-") as directory:
        server = EmbeddedPostgres(Path(directory))
        url = server.start()
        asyncio.run(_without_sync(url))
        yield url
        server.stop()


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> Iterator[str]:
    """Name of a database with all migrations, from which each test's database is copied."""
    name = f"vecferry_template_{os.getpid()}"

    async def prepare() -> None:
        await _run(postgres_server, f"CREATE DATABASE {name}")
        await migrate(_with_database(postgres_server, name))

    asyncio.run(prepare())
    yield name
    asyncio.run(_run(postgres_server, f"DROP DATABASE {name}"))


@pytest.fixture(scope="session")
def session_database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """Address of a database with all migrations that lives as long as the run."""
    with lasting_database(postgres_server, template_database) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """Address of a database with all migrations that only the tests of one module see."""
    with lasting_database(postgres_server, template_database) as url:
        yield url


@contextmanager
def lasting_database(server: str, template: str) -> Iterator[str]:
    """Lend the address of a database with all migrations to a fixture that outlives a test."""
    name = f"vecferry_lasting_{os.getpid()}_{next(_numbers)}"
    asyncio.run(_run(server, f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield _with_database(server, name)
    asyncio.run(_run(server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    """Address of a fresh database without migrations."""
    name = f"vecferry_test_{os.getpid()}_{next(_numbers)}"
    await _run(postgres_server, f"CREATE DATABASE {name}")
    yield _with_database(postgres_server, name)
    await _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database_url(postgres_server: str, template_database: str) -> AsyncIterator[str]:
    """Address of a fresh database with all migrations."""
    name = f"vecferry_test_{os.getpid()}_{next(_numbers)}"
    await _run(postgres_server, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield _with_database(postgres_server, name)
    await _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def _without_sync(url: str) -> None:
    """Let the server not wait for the disk: no test takes the machine's power away, and hundreds make a database."""
    connection = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "full_page_writes"):
            await connection.execute(f"ALTER SYSTEM SET {setting} = off")
        await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
