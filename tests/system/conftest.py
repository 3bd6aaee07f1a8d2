"""One proxy for the tests of a module, between the session's Qdrant and a database of its own."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.system.processes import Proxy, proxy


@contextmanager
def new_database(server: str, purpose: str) -> Iterator[str]:
    """Create a database for a test's own proxy and drop it afterwards."""
    name = f"vecferry_{purpose}_{os.getpid()}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name}"))
    yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def shared_proxy(
    qdrant_url: str, session_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy between the session's engines; tests use collections of their own names."""
    directory = tmp_path_factory.mktemp("proxy")
    with proxy(directory, qdrant=qdrant_url, database=session_database_url) as running:
        yield running


@pytest.fixture(scope="session")
def mirroring_proxy(
    qdrant_url: str, mirror_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy that mirrors every new collection."""
    directory = tmp_path_factory.mktemp("mirroring")
    with proxy(
        directory, qdrant=qdrant_url, database=mirror_database_url, default_stage="dualwrite"
    ) as running:
        yield running


@pytest.fixture(scope="session")
def complete_proxy(
    complete_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """A proxy without any Qdrant."""
    directory = tmp_path_factory.mktemp("complete")
    with proxy(
        directory, qdrant=None, database=complete_database_url, default_stage="complete"
    ) as running:
        yield running


@pytest.fixture(scope="session")
def mirror_database_url(postgres_server: str) -> Iterator[str]:
    """An empty database; the proxy migrates it itself."""
    with new_database(postgres_server, "mirror") as url:
        yield url


@pytest.fixture(scope="session")
def complete_database_url(postgres_server: str) -> Iterator[str]:
    """An empty database; the proxy migrates it itself."""
    with new_database(postgres_server, "complete") as url:
        yield url
