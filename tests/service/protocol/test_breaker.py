"""The circuit breaker: the whole table, and the counter and clock around it."""

import pytest

from service.protocol.breaker import Breaker, Circuit, Event, after

CLOSED, OPEN, HALF_OPEN = Circuit.CLOSED, Circuit.OPEN, Circuit.HALF_OPEN


@pytest.mark.parametrize(
    ("circuit", "event", "expected"),
    [
        (CLOSED, Event.ANSWERED, CLOSED),
        (CLOSED, Event.FAILED, CLOSED),
        (CLOSED, Event.FAILED_OFTEN, OPEN),
        (CLOSED, Event.PAUSED, CLOSED),
        (OPEN, Event.ANSWERED, CLOSED),
        (OPEN, Event.FAILED, OPEN),
        (OPEN, Event.FAILED_OFTEN, OPEN),
        (OPEN, Event.PAUSED, HALF_OPEN),
        (HALF_OPEN, Event.ANSWERED, CLOSED),
        (HALF_OPEN, Event.FAILED, OPEN),
        (HALF_OPEN, Event.FAILED_OFTEN, OPEN),
        (HALF_OPEN, Event.PAUSED, HALF_OPEN),
    ],
)
def test_every_event_in_every_state(circuit: Circuit, event: Event, expected: Circuit) -> None:
    """The table says what follows; what it leaves out changes nothing."""
    assert after(circuit, event) is expected


class Watched:
    """A breaker of two failures and ten seconds, with a clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list[Circuit] = []
        self.breaker = Breaker(
            failures=2, pause_seconds=10, changed=self.seen.append, clock=lambda: self.now
        )


@pytest.fixture
def watched() -> Watched:
    """A fresh breaker."""
    return Watched()


def test_failures_in_a_row_open_it(watched: Watched) -> None:
    """An answer in between begins the count anew."""
    breaker = watched.breaker
    breaker.failed()
    breaker.answered()
    breaker.failed()
    assert breaker.admits()
    breaker.failed()
    assert not breaker.admits()
    assert watched.seen == [CLOSED, OPEN]


def test_an_excused_failure_does_not_count(watched: Watched) -> None:
    """However often it happens, the circuit stays closed."""
    for _ in range(5):
        watched.breaker.failed()
        watched.breaker.excused()
    assert watched.breaker.admits()


def test_one_probe_after_the_pause(watched: Watched) -> None:
    """The first who asks is let through, the others are not, until it is answered."""
    breaker = watched.breaker
    breaker.failed()
    breaker.failed()
    watched.now += 9.9
    assert not breaker.admits()
    watched.now += 0.2
    assert [breaker.admits() for _ in range(3)] == [True, False, False]
    breaker.answered()
    assert [breaker.admits() for _ in range(2)] == [True, True]
    assert watched.seen == [CLOSED, OPEN, HALF_OPEN, CLOSED]


def test_a_failed_probe_waits_again(watched: Watched) -> None:
    """One failure is enough then, and a whole pause follows."""
    breaker = watched.breaker
    breaker.failed()
    breaker.failed()
    watched.now += 11
    assert breaker.admits()
    watched.now += 5
    breaker.failed()
    watched.now += 9
    assert not breaker.admits()
    watched.now += 2
    assert breaker.admits()


def test_a_probe_that_is_never_heard_of_blocks_nothing(watched: Watched) -> None:
    """After another pause the next one is let through."""
    breaker = watched.breaker
    breaker.failed()
    breaker.failed()
    watched.now += 11
    assert breaker.admits()
    watched.now += 9
    assert not breaker.admits()
    watched.now += 2
    assert breaker.admits()
