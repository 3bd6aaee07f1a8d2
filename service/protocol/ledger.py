"""The ledger's values and what the protocol asks of the database that keeps it.

An intent is a durable row "these ids may differ between the stores", committed before the authority sees the write.
The ledger is the set of intents that are not settled.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from service.model.ids import PointId
from service.model.points import Point
from service.stages import Side


@dataclass(frozen=True, slots=True)
class Intent:
    """One write's ids. ``behind`` is the store that may lack it; ``owed``: its client was told it is done."""

    id: UUID
    generation: int
    epoch: int
    behind: Side
    owed: bool
    keys: tuple[bytes, ...]
    cause: str
    collection: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An unsettled intent as it is read back.

    ``attempt_by`` is the instance whose write to the source may be under way: a push (R8), or the request of an
    intent that was taken over from it (R7).
    """

    id: UUID
    generation: int
    collection: str
    behind: Side
    keys: tuple[bytes, ...]
    attempt_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the ledger ended: its last intent, in the order of age."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some of an owner's intents that are due, oldest first; ``end`` is ``None`` on the last page."""

    entries: Sequence[LedgerEntry]
    end: Place | None


@dataclass(frozen=True, slots=True)
class Hint:
    """An intent that the source keeps because Postgres could not take it (R6).

    ``written_at`` is its owner's wall clock, for people: nothing is decided by it.
    """

    intent: Intent
    owner: UUID
    written_at: float | None = None


class Settled(StrEnum):
    """How a resync ended."""

    DONE = "done"
    GONE = "gone"
    """The generation was dropped, or somebody else has the intents: there is nothing to make equal here."""
    REVERSED = "reversed"
    """The authority moved, which an unsettled intent should forbid: the intents are dead letters now."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a resync did. An intent that is in none of the sets is settled."""

    outcome: Settled
    refused: frozenset[UUID] = frozenset()
    """A store refused some of their ids; they stay, narrowed to these, with one more failure."""
    waiting: frozenset[UUID] = frozenset()
    """They stay as they were: another instance may be pushing their ids (R8), or time was short."""


Fetch = Callable[[Sequence[PointId]], Awaitable[Sequence[Point]]]
"""Reads the points that exist from the authority."""

Push = Callable[[Sequence[Point], Sequence[PointId]], Awaitable[None]]
"""Makes the other store hold exactly these points, and not these ids."""


class IntentLog(Protocol):
    """Durable intents."""

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Commit the intents whose epoch is current, in one statement; return those that were taken (R5)."""
        ...

    async def open_entries(self, *, owner: UUID, after: Place | None, limit: int) -> LedgerPage:
        """Return a page of the owner's intents in the order of age, without dead ones and refused ones not yet due."""
        ...

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        """Fence owners that were silent for so long and take over their oldest intents (R7)."""
        ...

    async def owe(self, generation: int) -> None:
        """Stop reads of the target until what is unsettled now is settled: clients know what builds on it (R11)."""
        ...

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        """Say whether an answered write may be missing on the target; ``None`` when the epoch is not current."""
        ...

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settlement:
        """Under the ids' locks: read the source, make the target equal, delete the intents, in one transaction."""
        ...

    async def settle_source(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        *,
        owner: UUID,
    ) -> Settlement:
        """Commit an attempt; then, under the ids' locks, read the target, make the source equal, delete the intents.

        Nothing is pushed for intents that are no longer the owner's.
        """
        ...


class HintStore(Protocol):
    """Hints in the source. Every method raises ``SourceUnavailable`` or ``StoreAnswered``."""

    async def write(self, hints: Sequence[Hint]) -> None:
        """Store hints in one request; they are visible to every reader when this returns."""
        ...

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        """Return hints in the order of their ids, behind ``after``; of one owner and generation, or of all.

        Up to ``limit``; where the source has replicas it may be fewer, and only an empty page is the end.
        """
        ...

    async def count(self, generation: int | None = None) -> int:
        """Return how many hints there are, exactly; of one generation or of all."""
        ...

    async def discard(self, ids: Sequence[UUID]) -> None:
        """Delete exactly these hints."""
        ...


class HintedLog(Protocol):
    """Where hints go when Postgres is back."""

    async def take(self, hints: Sequence[Hint], *, owner: UUID) -> None:
        """Commit intents for the hints, owned by ``owner``, once each; those of a dropped generation are left out."""
        ...

    async def live_owners(self, *, silent_seconds: float) -> set[UUID]:
        """Return the instances that were heard of within so many seconds."""
        ...
