"""What the control plane asks of the database that keeps its state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from service.control.state import CollectionState
from service.model.qdrant import CreateCollection
from service.stages import Stage


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance that has not confirmed a revision yet."""

    instance: UUID
    confirmed: int


class ControlStore(Protocol):
    """The control table, the revision counter and the registered instances."""

    async def revision(self) -> int:
        """Return the number of the newest change."""
        ...

    async def load(self) -> tuple[int, Sequence[CollectionState]]:
        """Return the newest revision and all rows, as of one moment."""
        ...

    async def register(self, instance: UUID) -> None:
        """Announce an instance; from now on stage changes wait for it."""
        ...

    async def confirm(
        self, instance: UUID, revision: int, *, client_p99_ms: float | None = None
    ) -> bool:
        """Record a heartbeat and the revision below which nothing runs; false when the instance was fenced.

        ``client_p99_ms`` is what its clients waited lately, for the throttles of the jobs.
        """
        ...

    async def leave(self, instance: UUID) -> None:
        """Take a stopped instance off the list."""
        ...

    async def waiting_for(self, revision: int, *, stale_after_seconds: float) -> list[Waiting]:
        """Return live instances that have not confirmed the revision."""
        ...

    async def silences(self) -> Mapping[UUID, float]:
        """Return for every registered instance how many seconds ago it was last heard."""
        ...

    async def arm(
        self,
        name: str,
        config: CreateCollection,
        *,
        actor: str,
        is_new: bool,
        before: CollectionState | None = None,
    ) -> int:
        """Make empty target tables and enter ``dualwrite``; ``is_new`` says nothing was there to copy.

        Raises ``StageError`` when the target is right, or with ``before`` when the row is not as it was.
        """
        ...

    async def adopt_target(self, name: str, config: CreateCollection, *, actor: str) -> int:
        """Make target tables for a new collection in stage ``complete``. Raises ``CollectionExists``."""
        ...

    async def keep_off(self, name: str, *, actor: str) -> int:
        """Give a collection that cannot be mirrored a row in stage ``off``; ``actor`` says why."""
        ...

    async def publish(
        self,
        before: CollectionState,
        stage: Stage,
        percent: int,
        *,
        actor: str,
        token: UUID | None,
        moves: bool = True,
    ) -> int:
        """Enter a stage if the row is still at ``before.epoch``; with a token only while its freeze holds.

        A publication under a freeze that ``moves`` the authority also checks, after locking the row, that the ledger
        is empty.
        Raises ``StageError`` otherwise. Returns the new revision.
        """
        ...

    async def freeze(self, before: CollectionState, token: UUID, seconds: float) -> int:
        """Hold new writes of the collection until published, thawed or the deadline; returns the revision."""
        ...

    async def thaw(self, name: str, token: UUID) -> int:
        """End a freeze without a change."""
        ...

    async def abandon(self, before: CollectionState, *, actor: str) -> int:
        """Enter ``off``; the target's tables are dropped later by ``drop_generation``."""
        ...

    async def drop_generation(self, generation: int) -> None:
        """Drop a generation's tables and its intents."""
        ...

    async def retire(self, name: str, *, actor: str) -> int:
        """Drop the tables and intents of a deleted collection.

        Its row stays without a generation: ``shadow`` and ``ramp`` as ``dualwrite``, so that a new collection of the
        name is mirrored from its first point, every other stage as it is.
        """
        ...

    async def mark_backfilled(self, name: str, generation: int) -> int:
        """Record that the target's copy is complete."""
        ...

    async def touch(self) -> int:
        """Make every instance reload what hangs on the revision (the aliases)."""
        ...

    async def stuck_intents(self, generation: int, *, older_than_seconds: float) -> int:
        """Return how many intents of a generation have been unsettled for so long."""
        ...

    async def quarantined(self, generation: int) -> int:
        """Return how many points of a generation the target cannot hold and nobody has waived."""
        ...

    async def ledger_size(self, generation: int) -> int:
        """Return the number of unsettled intents of a generation, the ``*`` intents of its collection included."""
        ...
