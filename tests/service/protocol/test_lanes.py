"""Lanes: whose turn it is, what is taken together, and what a failing lane may hold. The time is a number."""

import pytest

from service.protocol import lanes
from service.protocol.lanes import Lanes, coalesced
from service.protocol.ledger import LedgerEntry
from service.stages import Side
from tests.service.protocol.fakes import entry, intent


def one(number: int, generation: int = 1, behind: Side = Side.TARGET) -> LedgerEntry:
    """Return an intent about one id."""
    return entry(intent(number, generation=generation, behind=behind))


@pytest.fixture
def queue() -> Lanes:
    """Lanes with nothing in them."""
    return Lanes()


def test_what_comes_together_is_taken_together(queue: Lanes) -> None:
    """A lane gathers for a moment, then its intents go in their order."""
    entries = [one(number) for number in range(3)]
    for each in entries:
        assert queue.add(each, 0.0)
    assert queue.take(0.0) is None
    assert queue.pause(0.0) == pytest.approx(0.05)
    batch = queue.take(0.06)
    assert batch is not None
    assert list(batch.entries) == entries
    assert batch.keys == sorted(each.keys[0] for each in entries)
    assert len(queue) == 3
    queue.done(batch)
    assert len(queue) == 0


def test_somebody_who_waits_hurries_the_lane(queue: Lanes) -> None:
    """The gathering ends at once, but not the pause of a lane that failed."""
    first = one(1)
    queue.add(first, 0.0)
    queue.hurry(first)
    batch = queue.take(0.0)
    assert batch is not None
    queue.failed(batch, 0.0)
    queue.hurry(first)
    assert queue.take(0.1) is None
    assert queue.take(0.2) is not None


def test_a_lane_is_worked_on_once_at_a_time(queue: Lanes) -> None:
    """Until its turn has ended another worker gets other lanes only."""
    queue.add(one(1), 0.0)
    first = queue.take(1.0)
    assert first is not None
    queue.add(one(2), 1.0)
    assert queue.take(2.0) is None
    queue.add(one(3, behind=Side.SOURCE), 2.0)
    other = queue.take(3.0)
    assert other is not None
    assert other.lane == (1, Side.SOURCE)
    queue.done(first)
    assert queue.take(3.0) is not None


def test_lanes_take_turns(queue: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a long backlog goes to the end of the row after each turn."""
    monkeypatch.setattr(lanes, "MOST_IDS_PER_RESYNC", 2)
    for number in range(6):
        queue.add(one(number), 0.0)
    queue.add(one(9, generation=2), 0.0)
    turns = []
    for _ in range(4):
        batch = queue.take(1.0)
        assert batch is not None
        turns.append(batch.lane[0])
        queue.done(batch)
    assert turns == [1, 2, 1, 1]


def test_a_failing_lane_waits_longer_each_time(queue: Lanes) -> None:
    """The pauses double up to a limit; one success and they begin anew."""
    queue.add(one(1), 0.0)
    now, pauses = 1.0, []
    for _ in range(8):
        batch = queue.take(now)
        assert batch is not None
        assert queue.failed(batch, now) == []
        pause = queue.pause(now)
        assert pause is not None
        pauses.append(round(pause, 3))
        now += pause
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    batch = queue.take(now)
    assert batch is not None
    queue.done(batch)
    queue.add(one(2), now)
    assert queue.pause(now) == pytest.approx(0.05)


def test_failing_lanes_share_one_worker(queue: Lanes) -> None:
    """Whoever is free next finds a lane that does not fail, however many do."""
    for generation in (1, 2):
        queue.add(one(1, generation=generation), 0.0)
    for _ in range(2):
        batch = queue.take(1.0)
        assert batch is not None
        queue.failed(batch, 1.0)
    queue.add(one(1, generation=3), 1.0)
    failing, healthy = queue.take(5.0), queue.take(5.0)
    assert failing is not None
    assert healthy is not None
    assert {failing.lane[0], healthy.lane[0]} & {1, 2} != {1, 2}
    assert healthy.lane[0] == 3
    assert queue.take(5.0) is None
    queue.failed(failing, 5.0)
    assert queue.take(5.0) is not None


def test_a_failing_lane_holds_little(queue: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond its share is let go, the newest first, and no more comes in; others are not touched."""
    monkeypatch.setattr(lanes, "_MOST_WHILE_FAILING", 3)
    monkeypatch.setattr(lanes, "MOST_IDS_PER_RESYNC", 2)
    entries = [one(number) for number in range(10)]
    for each in entries:
        queue.add(each, 0.0)
    batch = queue.take(1.0)
    assert batch is not None
    gone = queue.failed(batch, 1.0)
    assert gone == list(reversed(entries[3:]))
    assert len(queue) == 3
    assert not queue.add(one(99), 1.0)
    assert queue.add(one(99, generation=2), 1.0)
    again = queue.take(1.2)
    assert again is not None
    assert list(again.entries) == entries[:2]


def test_what_may_land_late_is_let_go(queue: Lanes) -> None:
    """The turn ends without its intents: somebody else watches over them."""
    first, second = one(1), one(2)
    queue.add(first, 0.0)
    batch = queue.take(1.0)
    assert batch is not None
    queue.add(second, 1.0)
    assert queue.failed(batch, 1.0, keep=False) == [first]
    assert first.id not in queue
    assert second.id in queue


def test_an_intent_is_held_once(queue: Lanes) -> None:
    """Who finds it a second time, in the ledger, changes nothing."""
    first = one(1)
    assert queue.add(first, 0.0)
    assert queue.add(first, 0.0)
    batch = queue.take(1.0)
    assert batch is not None
    assert list(batch.entries) == [first]


def test_room_is_bounded(queue: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests may fill it, the sweep only half of it."""
    monkeypatch.setattr(lanes, "_MOST_WAITING", 4)
    assert queue.has_room
    results = [queue.add(one(number), 0.0) for number in range(6)]
    assert results == [True] * 4 + [False] * 2
    assert not queue.has_room


def test_a_large_intent_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are bounded by ids, by lane, and hold at least one intent."""
    monkeypatch.setattr(lanes, "MOST_IDS_PER_RESYNC", 3)
    small, large = entry(intent(1, 2)), entry(intent(*range(9)))
    last, other = one(5), one(6, generation=2)
    batches = coalesced([small, large, last, other])
    assert [list(batch.entries) for batch in batches] == [[small], [large], [last], [other]]
