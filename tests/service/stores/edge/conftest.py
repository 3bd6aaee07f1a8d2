"""An engine over an empty directory, with short delays."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.stores.edge.settings import EngineSettings
from service.stores.edge.store import EdgeStore

SETTINGS = EngineSettings(idle=0.1, cooldown=0.1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EdgeStore]:
    """A store with one engine process, so that collections share it."""
    async with EdgeStore(tmp_path, processes=1, settings=SETTINGS) as opened:
        yield opened
