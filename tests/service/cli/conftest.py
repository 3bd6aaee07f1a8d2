"""An instance between a real Qdrant engine and a real Postgres, for the commands."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from service.config import load
from tests.service.wired import listening, wired

POINTS = [{"id": number, "vector": [float(number), 1.0]} for number in range(1, 6)]


@pytest.fixture
async def collection(qdrant_url: str, collection_name: str) -> str:
    """A collection on the source with five points."""
    async with httpx.AsyncClient(base_url=f"{qdrant_url}/collections", timeout=30.0) as client:
        await client.put(f"/{collection_name}", json={"vectors": {"size": 2, "distance": "Dot"}})
        await client.put(f"/{collection_name}/points?wait=true", json={"points": POINTS})
    return collection_name


@pytest.fixture
async def other_collection(qdrant_url: str, collection: str) -> str:
    """An empty collection on the source whose name begins with the first one's."""
    name = f"{collection}_other"
    async with httpx.AsyncClient(base_url=f"{qdrant_url}/collections", timeout=30.0) as client:
        await client.put(f"/{name}", json={"vectors": {"size": 2, "distance": "Dot"}})
    return name


@pytest.fixture
async def serving(
    qdrant_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """An instance whose control API the commands find by the environment."""
    settings = load(
        qdrant_url=qdrant_url,
        database_url=database_url,
        data_dir=tmp_path,
        grace_seconds=0.5,  # what differs is looked at again after it
    )
    with capture_logs():  # a command's output is its own: what runs beside it here logs elsewhere
        async with wired(settings) as here, listening(here.instance.control) as (_, port):
            monkeypatch.setenv("VECFERRY_DATA_DIR", str(tmp_path))
            monkeypatch.setenv("VECFERRY_CONTROL_PORT", str(port))
            yield
