"""Suspects and later looks: what waits how long. The time is a number."""

import pytest

from service.protocol import suspects
from service.protocol.suspects import Rereads, Suspects
from service.stages import Side
from tests.service.protocol.fakes import entry, intent


def test_a_suspect_waits_for_its_time() -> None:
    """It is due from then on, until its barrier was passed."""
    waiting, early, late = Suspects(), entry(intent(1)), entry(intent(2))
    waiting.add(early, 1.0)
    waiting.add(late, 2.0)
    assert waiting.due(0.9) == []
    (batch,) = waiting.due(1.0)
    assert list(batch.entries) == [early]
    assert list(waiting.due(2.0)[0].entries) == [early, late]
    waiting.passed(batch)
    assert early.id not in waiting
    assert waiting.is_any_due_before(2.1)
    assert not waiting.is_any_due_before(2.0)


def test_a_lane_whose_barrier_failed_waits_longer_each_time() -> None:
    """Other lanes go on; one barrier that passes and it is as any other."""
    waiting = Suspects()
    waiting.add(entry(intent(1, generation=1)), 0.0)
    waiting.add(entry(intent(1, generation=2)), 0.0)
    first, _ = waiting.due(0.0)
    waiting.failed(first, 0.0)
    assert [batch.lane[0] for batch in waiting.due(0.9)] == [2]
    waiting.failed(first, 1.0)
    assert len(waiting.due(2.9)) == 1
    assert len(waiting.due(3.0)) == 2
    for failures in range(10):
        waiting.failed(first, 10.0 + failures)
    assert len(waiting.due(19.0 + 29.9)) == 1
    assert len(waiting.due(19.0 + 30.0)) == 2
    waiting.passed(first)
    waiting.add(entry(intent(3, generation=1)), 0.0)
    assert len(waiting.due(20.0)) == 2


def test_suspects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds no room is told."""
    monkeypatch.setattr(suspects, "_MOST_WAITING", 2)
    waiting = Suspects()
    assert [waiting.add(entry(intent(n)), 0.0) for n in range(3)] == [True, True, False]
    assert waiting.room == 0


def test_later_looks_come_at_growing_distances() -> None:
    """One, four and sixteen grace periods, each from the look before; then no more."""
    planned, doubtful = Rereads(10.0), entry(intent(1))
    now, seen = 0.0, []
    planned.add(doubtful, now)
    while planned:
        now += 1.0
        for reread in planned.due(now):
            seen.append(now)
            assert planned.add(reread.entry, now, reread.turn + 1)
    assert seen == [10.0, 50.0, 210.0]


def test_nothing_is_looked_at_again_on_the_source() -> None:
    """A late look in that direction could undo a write there."""
    planned = Rereads(1.0)
    assert planned.add(entry(intent(1, behind=Side.SOURCE)), 0.0)
    assert not planned


def test_later_looks_are_bounded_by_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room that a look gave back can be used again."""
    monkeypatch.setattr(suspects, "_MOST_IDS_TO_REREAD", 3)
    planned = Rereads(1.0)
    assert planned.add(entry(intent(1, 2)), 0.0)
    assert not planned.add(entry(intent(3, 4)), 0.0)
    assert len(planned.due(1.0)) == 1
    assert planned.add(entry(intent(3, 4)), 1.0)
