"""The stores that the contract is held to.

Starting an engine takes longer than most tests, so each store lives as long as the run and its
collections as long as a test; store and tests share the session's event loop.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.ports import VectorStore
from service.stores.edge.store import EdgeStore
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder on the session's loop."""
    here = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if "store" in getattr(item, "fixturenames", ()) and "tests/contract" in str(item.path):
            item.add_marker(here, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_store(session_database_url: str) -> AsyncIterator[PgStore]:
    """A store on Postgres."""
    database = await Database.open(session_database_url)
    yield PgStore(database)
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def edge_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EdgeStore]:
    """A store on Qdrant's engine."""
    async with EdgeStore(tmp_path_factory.mktemp("edge"), processes=1) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def postgres(postgres_store: PgStore) -> AsyncIterator[PgStore]:
    """That store without collections."""
    yield postgres_store
    await _empty(postgres_store)


@pytest_asyncio.fixture(loop_scope="session")
async def edge(edge_store: EdgeStore) -> AsyncIterator[EdgeStore]:
    """That store without collections."""
    yield edge_store
    await _empty(edge_store)


@pytest.fixture(params=["postgres", "edge"])
def store(request: pytest.FixtureRequest) -> VectorStore:
    """Each store in turn; not async, because an async fixture cannot ask for others by name."""
    opened: VectorStore = request.getfixturevalue(request.param)
    return opened


async def _empty(store: VectorStore) -> None:
    for name in await store.collections():
        await store.delete_collection(name)
