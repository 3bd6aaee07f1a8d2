"""Lanes: the intents that may be settled, by generation and direction, and whose turn it is. Pure; the time is given.

Rule 1: lanes take turns, and one lane is worked on once at a time.
Rule 2: a lane that fails waits longer each time, keeps few intents in memory (the sweep finds the others again) and
        shares one worker with its like, so that it takes neither room nor time from the others.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from service.protocol.ledger import LedgerEntry
from service.stages import Side

Lane: TypeAlias = tuple[int, Side]

MOST_IDS_PER_RESYNC = 1_024
_MOST_WAITING = 20_000
_MOST_WHILE_FAILING = 512
_MOST_FAILING_AT_ONCE = 1
_GATHER_SECONDS = 0.05
_FIRST_BACKOFF_SECONDS = 0.2
_LONGEST_BACKOFF_SECONDS = 10.0


@dataclass(slots=True)
class _Backlog:
    """What waits in one lane, oldest first."""

    waiting: deque[LedgerEntry] = field(default_factory=deque)
    is_taken: bool = False
    failures: int = 0
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Intents of one lane that are settled together."""

    lane: Lane
    entries: Sequence[LedgerEntry]

    @property
    def keys(self) -> list[bytes]:
        """Their distinct keys, ascending."""
        return sorted({key for entry in self.entries for key in entry.keys})


class Lanes:
    """All lanes of an instance; bounded."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, _Backlog] = {}
        self._known: set[UUID] = set()
        self._failing_at_work = 0

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, intent: UUID) -> bool:
        return intent in self._known

    @property
    def has_room(self) -> bool:
        """Whether the sweep may bring more; what requests bring has the other half."""
        return len(self._known) < _MOST_WAITING // 2

    def add(self, entry: LedgerEntry, now: float) -> bool:
        """Put an intent behind the others of its lane; false when there is no room."""
        if entry.id in self._known:
            return True
        lane = lane_of(entry)
        backlog = self._lanes.get(lane) or _Backlog()
        is_full = backlog.failures and len(backlog.waiting) >= _MOST_WHILE_FAILING
        if is_full or len(self._known) >= _MOST_WAITING:
            return False
        if not backlog.waiting:
            # What comes in a moment later shares one resync, and a client's next request goes first.
            backlog.not_before = max(backlog.not_before, now + _GATHER_SECONDS)
        self._known.add(entry.id)
        backlog.waiting.append(entry)
        self._lanes[lane] = backlog
        return True

    def hurry(self, entry: LedgerEntry) -> None:
        """Let a lane that only gathers go at once: somebody waits for it."""
        backlog = self._lanes.get(lane_of(entry))
        if backlog is not None and not backlog.failures:
            backlog.not_before = 0.0

    def take(self, now: float) -> Batch | None:
        """Return the next lane's turn, if one may go; end it with ``done`` or ``failed``."""
        for lane, backlog in list(self._lanes.items()):
            if backlog.is_taken or backlog.not_before > now:
                continue
            if not backlog.waiting:
                del self._lanes[lane]
                continue
            if backlog.failures:
                if self._failing_at_work >= _MOST_FAILING_AT_ONCE:
                    continue
                self._failing_at_work += 1
            # To the end of the row: lanes take turns.
            self._lanes[lane] = self._lanes.pop(lane)
            backlog.is_taken = True
            return Batch(lane, _coalesced(backlog.waiting))
        return None

    def pause(self, now: float) -> float | None:
        """Return how long nothing can be taken, ``None`` while only new work or the end of a turn changes that."""
        later = [
            each.not_before
            for each in self._lanes.values()
            if each.waiting and not each.is_taken and each.not_before > now
        ]
        return min(later) - now if later else None

    def done(self, batch: Batch) -> None:
        """End a turn that went well; its intents are forgotten."""
        self._end(batch.lane).failures = 0
        self._known.difference_update(entry.id for entry in batch.entries)

    def failed(self, batch: Batch, now: float, *, keep: bool = True) -> list[LedgerEntry]:
        """End a turn that failed; its intents go back to the front, or are let go with ``keep`` false.

        Returns the intents that are no longer in memory.
        """
        backlog = self._end(batch.lane)
        backlog.failures += 1
        delay = min(_FIRST_BACKOFF_SECONDS * 2 ** (backlog.failures - 1), _LONGEST_BACKOFF_SECONDS)
        backlog.not_before = now + delay
        gone = [] if keep else list(batch.entries)
        if keep:
            backlog.waiting.extendleft(reversed(batch.entries))
        while len(backlog.waiting) > max(_MOST_WHILE_FAILING, len(batch.entries)):
            gone.append(backlog.waiting.pop())
        self._known.difference_update(entry.id for entry in gone)
        return gone

    def _end(self, lane: Lane) -> _Backlog:
        backlog = self._lanes[lane]
        backlog.is_taken = False
        if backlog.failures:
            self._failing_at_work -= 1
        return backlog


def lane_of(entry: LedgerEntry) -> Lane:
    """Return the lane that an intent waits in."""
    return entry.generation, entry.behind


def coalesced(entries: Sequence[LedgerEntry]) -> list[Batch]:
    """Return intents of any lanes as batches of a bounded number of ids."""
    lanes: dict[Lane, deque[LedgerEntry]] = {}
    for entry in entries:
        lanes.setdefault(lane_of(entry), deque()).append(entry)
    batches: list[Batch] = []
    for lane, waiting in lanes.items():
        while waiting:
            batches.append(Batch(lane, _coalesced(waiting)))
    return batches


def _coalesced(waiting: deque[LedgerEntry]) -> list[LedgerEntry]:
    """Take intents from the front until a resync is full; at least one."""
    taken = [waiting.popleft()]
    ids = len(taken[0].keys)
    while waiting and ids + len(waiting[0].keys) <= MOST_IDS_PER_RESYNC:
        ids += len(waiting[0].keys)
        taken.append(waiting.popleft())
    return taken
