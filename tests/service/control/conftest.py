"""The control plane on a real Postgres, with aliases that a test sets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from service.control.plane import ControlPlane
from service.errors import VecferryError
from service.metrics import ProxyMetrics
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from tests.service.control.fakes import MemoryRegister


@dataclass
class Aliases:
    """The source's aliases, or its failure."""

    names: dict[str, str] = field(default_factory=dict)
    error: VecferryError | None = None

    async def load(self) -> Mapping[str, str]:
        if self.error is not None:
            raise self.error
        return dict(self.names)


@pytest.fixture
def control(database: Database) -> PostgresControl:
    """The control table of a fresh database."""
    return PostgresControl(database)


@pytest.fixture
def register() -> MemoryRegister:
    """An empty register."""
    return MemoryRegister()


@pytest.fixture
def aliases() -> Aliases:
    """No aliases yet."""
    return Aliases()


def plane_on(
    control: PostgresControl, aliases: Aliases, *, default: Stage = Stage.OFF
) -> ControlPlane:
    """Return an instance that has not started."""
    return ControlPlane(
        control,
        default_stage=default,
        load_aliases=aliases.load,
        metrics=ProxyMetrics(CollectorRegistry()),
    )


@pytest.fixture
async def plane(control: PostgresControl, aliases: Aliases) -> ControlPlane:
    """A started instance; its polling does not run."""
    plane = plane_on(control, aliases)
    await plane.start()
    return plane
