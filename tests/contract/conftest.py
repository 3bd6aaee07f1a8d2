"""The stores that the contract is held to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.ports import VectorStore
from service.stores.edge.store import EdgeStore
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore


@pytest.fixture
def postgres(database: Database) -> PgStore:
    """An empty store on Postgres."""
    return PgStore(database)


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeStore]:
    """An empty store on Qdrant's engine."""
    async with EdgeStore(tmp_path, processes=1) as opened:
        yield opened


@pytest.fixture(params=["postgres", "edge"])
def store(request: pytest.FixtureRequest) -> VectorStore:
    """Each store in turn; pytest-asyncio needs the async ones as fixtures of their own."""
    opened: VectorStore = request.getfixturevalue(request.param)
    return opened
