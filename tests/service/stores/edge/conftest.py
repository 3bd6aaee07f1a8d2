"""One engine for all tests of this folder, with short delays; every test finds it empty."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from service.stores.edge.settings import EngineSettings
from service.stores.edge.store import EdgeStore

SETTINGS = EngineSettings(idle=0.1, cooldown=0.1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EdgeStore]:
    """A store with one engine process, so that collections share it."""
    data_dir = tmp_path_factory.mktemp("edge")
    async with EdgeStore(data_dir, processes=1, settings=SETTINGS) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def store(shared_store: EdgeStore) -> AsyncIterator[EdgeStore]:
    """The shared store without the collections of other tests."""
    yield shared_store
    for name in await shared_store.collections():
        await shared_store.delete_collection(name)
