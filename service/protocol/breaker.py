"""A circuit breaker: when to stop asking a store that does not answer, and when to ask again.

Rule 1: ``TRANSITIONS`` is the whole of it; an event that does not stand there changes nothing.
Rule 2: until the store has answered again, one asks per pause.
"""

import time
from collections.abc import Callable
from enum import StrEnum


class Circuit(StrEnum):
    """Whether the store is asked."""

    CLOSED = "closed"
    """Everybody asks."""
    OPEN = "open"
    """Nobody asks until the pause is over."""
    HALF_OPEN = "half-open"
    """One has been let through to find out; the next one when the pause is over and nothing was heard of it."""


class Event(StrEnum):
    """What happened to somebody who asked, or to the pause."""

    ANSWERED = "answered"
    FAILED = "failed"
    FAILED_OFTEN = "failed-often"
    """The last of so many failures in a row."""
    PAUSED = "paused"
    """The pause is over and somebody wants to ask."""


TRANSITIONS: dict[tuple[Circuit, Event], Circuit] = {
    (Circuit.CLOSED, Event.FAILED_OFTEN): Circuit.OPEN,
    (Circuit.OPEN, Event.PAUSED): Circuit.HALF_OPEN,
    (Circuit.OPEN, Event.ANSWERED): Circuit.CLOSED,
    (Circuit.HALF_OPEN, Event.ANSWERED): Circuit.CLOSED,
    (Circuit.HALF_OPEN, Event.FAILED): Circuit.OPEN,
    (Circuit.HALF_OPEN, Event.FAILED_OFTEN): Circuit.OPEN,
}


def after(circuit: Circuit, event: Event) -> Circuit:
    """Return the state that follows."""
    return TRANSITIONS.get((circuit, event), circuit)


class Breaker:
    """The circuit with its counter and its clock. Who was admitted says afterwards how it went."""

    def __init__(
        self,
        *,
        failures: int,
        pause_seconds: float,
        changed: Callable[[Circuit], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.circuit = Circuit.CLOSED
        self._limit = failures
        self._pause_seconds = pause_seconds
        self._changed = changed
        self._clock = clock
        self._in_a_row = 0
        self._asks_from = 0.0
        changed(self.circuit)

    def admits(self) -> bool:
        """Say whether the store may be asked now."""
        if self.circuit is Circuit.CLOSED:
            return True
        now = self._clock()
        if now < self._asks_from:
            return False
        self._asks_from = now + self._pause_seconds
        self._move(Event.PAUSED)
        return True

    def answered(self) -> None:
        """Note that the store did what it was asked for, in time."""
        self._in_a_row = 0
        self._move(Event.ANSWERED)

    def failed(self) -> None:
        """Note that it did not."""
        self._in_a_row += 1
        self._asks_from = self._clock() + self._pause_seconds
        self._move(Event.FAILED_OFTEN if self._in_a_row >= self._limit else Event.FAILED)

    def excused(self) -> None:
        """Note that the last failure was not the store's own: it does not count."""
        self._in_a_row = max(0, self._in_a_row - 1)

    def _move(self, event: Event) -> None:
        before, self.circuit = self.circuit, after(self.circuit, event)
        if self.circuit is not before:
            self._changed(self.circuit)
