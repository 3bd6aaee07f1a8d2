"""The ledger as an operator reads it: every id not known to be equal, with its cause, its age and what went wrong.

Rule 1: what cannot be read is said, never left out in silence.
Rule 2: a page begins behind the last line of the one before, wherever that line is by now: what is settled meanwhile
        takes no other line with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from service.model.ids import PointId
from service.protocol.ledger import Place
from service.stages import Side


class LineState(StrEnum):
    """How far an intent is from being settled."""

    OPEN = "open"
    """Under way, or waiting for its turn."""
    FAILING = "failing"
    """Refused at least once; tried again by itself."""
    DEAD = "dead"
    """Refused so often that it waits for an operator, or for a newer write of its ids."""
    HINT = "hint"
    """Kept in the source until Postgres is back (R6)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One unsettled intent. ``ids`` is empty for a change of the whole collection (``is_whole``).

    ``age_seconds`` is by Postgres' clock; of a hint, which has not met that one yet, by the clocks of two instances.
    """

    id: UUID
    collection: str
    generation: int | None
    behind: Side
    state: LineState
    cause: str
    ids: Sequence[PointId]
    is_whole: bool
    owed: bool
    owner: UUID
    age_seconds: float | None
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many intents, and ids, share a collection, a side, a state and a cause; the oldest one's age."""

    collection: str
    behind: Side
    state: LineState
    cause: str
    intents: int
    ids: int
    oldest_seconds: float | None


class LedgerBook(Protocol):
    """Reads of the ledger, in the order of age; and the operator's wish to have failed ones tried again."""

    async def lines(
        self, *, collection: str | None, state: LineState | None, after: Place | None, limit: int
    ) -> tuple[Sequence[Line], Place | None]:
        """Return a page, oldest first, and its last place; ``None`` when no line is left behind it."""
        ...

    async def tallies(self, *, collection: str | None) -> Sequence[Tally]:
        """Return the counts by collection, side, state and cause, largest first."""
        ...

    async def retry(self, *, collection: str | None, ids: Sequence[UUID] | None) -> int:
        """Have failing and dead intents tried again now; all of a collection, or those named; returns how many."""
        ...
