"""The ledger's values and what the protocol asks of the database that keeps it.

An intent is a durable row "these ids may differ between the stores", committed before the authority sees the write.
The ledger is the set of intents that are not settled.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
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
    """An unsettled intent as it is read back."""

    id: UUID
    generation: int
    collection: str
    behind: Side
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Hint:
    """An intent that the source keeps because Postgres could not take it (R6)."""

    intent: Intent
    owner: UUID


class Settled(StrEnum):
    """How a resync ended."""

    DONE = "done"
    GONE = "gone"
    """The generation was dropped: nothing to make equal any more."""
    REVERSED = "reversed"
    """The authority moved meanwhile; the intent is kept and never resynced by itself."""


Fetch = Callable[[Sequence[PointId]], Awaitable[Sequence[Point]]]
"""Reads the points that exist from the authority."""

Push = Callable[[Sequence[Point], Sequence[PointId]], Awaitable[None]]
"""Makes the other store hold exactly these points, and not these ids."""


class IntentLog(Protocol):
    """Durable intents."""

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Commit the intents whose epoch is current, in one statement; return those that were taken (R5)."""
        ...

    async def open_entries(self, *, owner: UUID, limit: int) -> list[LedgerEntry]:
        """Return the owner's oldest unsettled intents."""
        ...

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        """Fence owners that were silent for so long and take over their oldest intents (R7)."""
        ...

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        """Say whether an answered write may be missing on the target; ``None`` when the epoch is not current."""
        ...

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settled:
        """Under the ids' locks: read the source, make the target equal, delete the intents, in one transaction."""
        ...

    async def settle_source(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], push: Push
    ) -> Settled:
        """Under the ids' locks: read the target, make the source equal, delete the intents, in one transaction."""
        ...


class HintStore(Protocol):
    """Hints in the source. Every method raises ``SourceUnavailable`` or ``StoreAnswered``."""

    async def write(self, hints: Sequence[Hint]) -> None:
        """Store hints in one request; they are visible to every reader when this returns."""
        ...

    async def read(self, *, owner: UUID | None = None, limit: int) -> Sequence[Hint]:
        """Return hints, of one owner or of all; up to ``limit``, in no particular order."""
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
