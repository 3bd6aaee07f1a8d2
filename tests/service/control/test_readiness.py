"""What a load balancer is told."""

import pytest

from service.control import plane as plane_module
from service.control.plane import ControlPlane
from service.control.readiness import not_ready
from service.control.records import Look
from service.control.register import Record
from service.control.state import CollectionState
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from tests.service.control.conftest import Aliases, plane_on


@pytest.mark.parametrize(
    ("stage", "is_marked", "part"),
    [
        (Stage.SHADOW, True, None),
        (Stage.SHADOW, False, "qdrant"),
        (Stage.LIVE, True, "postgres"),
    ],
)
async def test_without_postgres_an_instance_that_can_write_hints_is_ready(
    plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    is_marked: bool,
    part: str | None,
) -> None:
    """Where Postgres answers, or nothing mirrored could be written, it is not."""
    assert not_ready(plane) == {}
    monkeypatch.setattr(plane_module, "ATTACHED_SECONDS", 0.0)
    record = Record(CollectionState("c", stage, 1, epoch=2), 1)
    plane.looked(Look([record], 0.0, is_marked=is_marked))
    assert list(not_ready(plane)) == ([] if part is None else [part])


async def test_who_never_reached_postgres_is_not_ready(
    control: PostgresControl, aliases: Aliases
) -> None:
    """It refuses every write."""
    assert "writes are refused" in str(not_ready(plane_on(control, aliases))["postgres"])
