"""Parts that several tests of the protocol put together."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from service.metrics import ProxyMetrics
from service.protocol import resync
from service.protocol.resync import Resyncer
from tests.service.protocol.fakes import MemoryLog, MemorySource, metrics
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
