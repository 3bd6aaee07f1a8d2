"""A control plane on a real Postgres, and settings for whole instances."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.config import Settings
from service.control.plane import ControlPlane
from service.metrics import ProxyMetrics
from service.model.qdrant import CreateCollection
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database

CONFIG = CreateCollection.model_validate({"vectors": {"size": 2, "distance": "Dot"}})


@pytest.fixture
def registry() -> CollectorRegistry:
    """The registry behind ``plane``'s metrics."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> ProxyMetrics:
    """The proxy's metrics."""
    return ProxyMetrics(registry)


@pytest.fixture
def control(database: Database) -> PostgresControl:
    """The control table."""
    return PostgresControl(database)


@pytest.fixture
async def plane(control: PostgresControl, metrics: ProxyMetrics) -> AsyncIterator[ControlPlane]:
    """A started control plane, in which ``alias`` stands for the collection ``c`` in dualwrite."""

    async def aliases() -> dict[str, str]:
        return {"alias": "c"}

    await control.arm("c", CONFIG, actor="test", is_new=True)
    made = ControlPlane(control, default_stage=Stage.OFF, load_aliases=aliases, metrics=metrics)
    await made.start()
    yield made
    await made.stop(is_drained=True)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Callable[..., Settings]:
    """Make settings of an instance on a fresh database; the arguments replace defaults."""

    def make(**changes: Any) -> Settings:
        defaults = {
            "database_url": database_url, "data_dir": tmp_path, "shadow_sample_rate": 1.0,
            "intent_budget_seconds": 5.0,  # a busy machine is no outage
        }  # fmt: skip
        return Settings(**{**defaults, **changes})

    return make
