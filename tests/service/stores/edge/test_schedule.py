"""When vectors are indexed."""

from service.model.qdrant import OptimizersConfigDiff
from service.stores.edge.schedule import Schedule, point_bytes
from service.stores.edge.settings import EngineSettings
from tests.service.stores.edge.data import plain

SETTINGS = EngineSettings(idle=1.0, patience=10.0, cooldown=5.0)
REQUEST = plain(size=256, optimizers_config=OptimizersConfigDiff(indexing_threshold=100))


def test_a_point_weighs_its_vectors() -> None:
    """256 floats are one KiB."""
    assert point_bytes(REQUEST) == 1024


def test_it_starts_when_writes_pause_or_patience_ends() -> None:
    """Below the threshold never; at it, one idle second after the last write, but no later than ten after the first."""
    schedule = Schedule(SETTINGS)
    schedule.wrote(99, 50.0, REQUEST)
    assert schedule.start_at(REQUEST) is None
    schedule.wrote(1, 51.0, REQUEST)
    assert schedule.start_at(REQUEST) == 52.0
    schedule.wrote(1, 60.5, REQUEST)
    assert schedule.start_at(REQUEST) == 61.0


def test_it_rests_between_two_runs() -> None:
    """A run forgets what it has seen, and the next one waits for the cool-down, demanded or not."""
    schedule = Schedule(SETTINGS, changed_points=500)
    schedule.started()
    assert schedule.start_at(REQUEST) is None
    schedule.ended(100.0)
    schedule.demanded = True
    assert schedule.start_at(REQUEST) == 105.0
    schedule.started()
    schedule.wrote(100, 101.0, REQUEST)
    assert schedule.start_at(REQUEST) == 105.0


def test_a_threshold_of_zero_means_never() -> None:
    """Qdrant's way to switch indexing off."""
    request = plain(size=256, optimizers_config=OptimizersConfigDiff(indexing_threshold=0))
    schedule = Schedule(SETTINGS)
    schedule.wrote(1_000_000, 1.0, request)
    assert schedule.start_at(request) is None
