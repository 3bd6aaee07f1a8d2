"""Suspects: intents whose requests may still land, until it is time for a barrier; and ids to be read again later (R7).

Qdrant may apply a request later than we assume. So the ids of a request whose end nobody saw are read again when their
intent is long settled, at growing distances. Both lists live in memory only and are bounded. Pure; the time is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

from service.protocol.lanes import Batch, Lane, coalesced, lane_of
from service.protocol.ledger import LedgerEntry
from service.stages import Side

_MOST_WAITING = 20_000
_MOST_IDS_TO_REREAD = 100_000
_REREAD_AFTER_GRACES = (1, 4, 16)
_FIRST_BACKOFF_SECONDS = 1.0
_LONGEST_BACKOFF_SECONDS = 30.0


@dataclass(slots=True)
class _Backoff:
    failures: int
    until: float


class Suspects:
    """Intents that wait for their time and then for a barrier on their ids."""

    def __init__(self) -> None:
        self._waiting: dict[UUID, tuple[float, LedgerEntry]] = {}
        self._backoffs: dict[Lane, _Backoff] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, intent: UUID) -> bool:
        return intent in self._waiting

    @property
    def room(self) -> int:
        """How many more there is room for."""
        return max(_MOST_WAITING - len(self._waiting), 0)

    def add(self, entry: LedgerEntry, at: float) -> bool:
        """Take an intent whose barrier may be passed from ``at`` on; false when there is no room."""
        if not self.room:
            return False
        self._waiting[entry.id] = (at, entry)
        return True

    def is_any_due_before(self, deadline: float) -> bool:
        """Say whether some intent's time comes before that."""
        return any(at < deadline for at, _ in self._waiting.values())

    def due(self, now: float) -> list[Batch]:
        """Return the intents whose time has come, in batches, without lanes whose barrier failed a moment ago."""
        return coalesced(
            [
                entry
                for at, entry in self._waiting.values()
                if at <= now and self._may_go(entry, now)
            ]
        )

    def _may_go(self, entry: LedgerEntry, now: float) -> bool:
        backoff = self._backoffs.get(lane_of(entry))
        return backoff is None or backoff.until <= now

    def passed(self, batch: Batch) -> None:
        """Forget intents that are behind their barrier."""
        self._backoffs.pop(batch.lane, None)
        for entry in batch.entries:
            self._waiting.pop(entry.id, None)

    def failed(self, batch: Batch, now: float) -> None:
        """Let the lane wait, longer each time."""
        before = self._backoffs.get(batch.lane)
        failures = before.failures + 1 if before else 1
        delay = min(_FIRST_BACKOFF_SECONDS * 2 ** (failures - 1), _LONGEST_BACKOFF_SECONDS)
        self._backoffs[batch.lane] = _Backoff(failures, now + delay)


class Looked(StrEnum):
    """How another look ended."""

    DONE = "done"
    FAILED = "failed"
    """A store did not answer: it is repeated."""
    VOID = "void"
    """The collection is gone or the target is right now: nothing can be overwritten any more."""
    DROPPED = "dropped"
    """There was no room to remember it."""


@dataclass(frozen=True, slots=True, order=True)
class Reread:
    """One more look at the ids of a settled intent."""

    at: float
    number: int
    turn: int
    entry: LedgerEntry


class Rereads:
    """What is looked at again, and when."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self._heap: list[Reread] = []
        self._ids = 0
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, entry: LedgerEntry, now: float, turn: int = 0) -> bool:
        """Plan a look, unless there were enough; false when there is no room."""
        if entry.behind is not Side.TARGET or turn >= len(_REREAD_AFTER_GRACES):
            return True
        if self._ids + len(entry.keys) > _MOST_IDS_TO_REREAD:
            return False
        at = now + _REREAD_AFTER_GRACES[turn] * self._grace_seconds
        heappush(self._heap, Reread(at, next(self._numbers), turn, entry))
        self._ids += len(entry.keys)
        return True

    def due(self, now: float) -> Sequence[Reread]:
        """Take what is due from the list."""
        found: list[Reread] = []
        while self._heap and self._heap[0].at <= now:
            found.append(heappop(self._heap))
            self._ids -= len(found[-1].entry.keys)
        return found
