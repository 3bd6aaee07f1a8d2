"""Parts that several tests of the protocol put together."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from service.config import Settings
from service.metrics import ProxyMetrics
from service.protocol import resync
from service.protocol.resync import Resyncer
from service.stages import Stage
from service.stores.postgres.database import Database
from tests.service.protocol.fakes import MemoryLog, MemorySource, metrics
from tests.service.protocol.pairs import MakeSettings, Pair, paired
from tests.service.running import running

GRACE_SECONDS = 0.2


@pytest.fixture
def journal() -> list[str]:
    """What the fakes were asked, in order."""
    return []


@pytest.fixture
def log(journal: list[str]) -> MemoryLog:
    """A ledger in memory."""
    return MemoryLog(journal)


@pytest.fixture
def source(journal: list[str]) -> MemorySource:
    """A source in memory."""
    return MemorySource(journal)


@pytest.fixture
def counted() -> ProxyMetrics:
    """The metrics that the parts count on."""
    return metrics()


@pytest.fixture
def resyncer(
    log: MemoryLog, source: MemorySource, counted: ProxyMetrics, monkeypatch: pytest.MonkeyPatch
) -> Resyncer:
    """A resyncer that sweeps often and does not run yet."""
    monkeypatch.setattr(resync, "_SWEEP_SECONDS", 0.02)
    return Resyncer(log, source, uuid4(), counted, grace_seconds=GRACE_SECONDS)


@pytest.fixture
async def at_work(resyncer: Resyncer) -> AsyncIterator[Resyncer]:
    """The resyncer at work."""
    async with running(resyncer.run()):
        yield resyncer


@pytest.fixture
def settings(database_url: str, qdrant_url: str, tmp_path: Path) -> MakeSettings:
    """Settings of instances on a fresh database that mirror everything new."""

    def make(**changes: object) -> Settings:
        defaults = {
            "database_url": database_url,
            "qdrant_url": qdrant_url,
            "data_dir": tmp_path,
            "default_stage": Stage.DUALWRITE,
            "grace_seconds": 2.0,
        }
        return Settings.model_validate({**defaults, **changes})

    return make


@pytest.fixture
async def pair(
    settings: MakeSettings, qdrant_url: str, database: Database, collection_name: str
) -> AsyncIterator[Pair]:
    """Two running instances."""
    async with paired(settings, qdrant_url, database, collection_name) as made:
        yield made
