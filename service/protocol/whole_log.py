"""The values of changes of whole collections, and what the protocol asks of the database that keeps them (R10)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Protocol
from uuid import UUID

from service.control.state import CollectionState
from service.model.qdrant import AliasOperations, CreateCollection
from service.protocol.description import Description
from service.stages import Side


@dataclass(frozen=True, slots=True)
class WholeIntent:
    """A ``*`` intent. ``replaces``: nothing else may change of the collection; else only its description changes.

    While the target is right ``vectors`` are the named vectors that were made or removed, and ``replaces`` says that
    the collection was.
    """

    id: UUID
    name: str
    generation: int | None
    behind: Side
    replaces: bool
    cause: str
    vectors: tuple[str, ...] = ()


class Refused(Enum):
    """Why a ``*`` intent was not taken."""

    BUSY = auto()
    """Another change holds the name."""
    STALE = auto()
    """The control row is no longer what the caller saw."""


class Ended(StrEnum):
    """How an attempt to settle a ``*`` intent ended."""

    DONE = "done"
    GONE = "gone"
    """Somebody else has it, or the collection is no longer mirrored."""
    UNHELD = "unheld"
    """A generation must be given up and its writes are not held: hold them and try again."""
    ATTEMPTED = "attempted"
    """A push of a dropped generation may still land in the source."""


Describe = Callable[[], Awaitable[Description | None]]
"""Reads the source's description; ``None`` when the collection is not there."""


@dataclass(frozen=True, slots=True)
class Anew:
    """What the source must make anew, whatever it holds: all of the collection, or its vectors of these names."""

    collection: bool = False
    vectors: frozenset[str] = frozenset()


Impose = Callable[[Description | None, Anew], Awaitable[None]]
"""Makes the source's collection what the target says."""


class WholeLog(Protocol):
    """The ``*`` intents in the database."""

    async def intend(
        self, intent: WholeIntent, before: CollectionState, *, owner: UUID
    ) -> Refused | None:
        """Commit an intent of a change of the source's, if the control row is as ``before`` says."""
        ...

    async def is_busy(self, name: str) -> bool:
        """Say whether the name is being made or dropped while the source is right."""
        ...

    async def hold(self, intent: WholeIntent, seconds: float) -> int | None:
        """Freeze the collection's writes for the intent; the new revision, ``None`` when others hold them."""
        ...

    async def forget(self, intent: WholeIntent) -> None:
        """Take back an intent whose change never reached a store, and let the writes go on."""
        ...

    async def open_intents(self, *, owner: UUID, limit: int) -> list[WholeIntent]:
        """Return the owner's intents, oldest first."""
        ...

    async def adopt(self, *, owner: UUID, limit: int) -> list[WholeIntent]:
        """Take over the intents of instances that are no longer registered."""
        ...

    async def settle_target(
        self, intent: WholeIntent, describe: Describe, *, owner: UUID, is_made: bool
    ) -> Ended:
        """Under the collection's lock: read the source, make the target equal, delete the intent."""
        ...

    async def settle_source(
        self, name: str, impose: Impose, *, owner: UUID, ignore_attempts: bool
    ) -> Ended:
        """Under the collection's lock: make the source equal to the target, delete the name's intents."""
        ...

    async def failed(self, intent: WholeIntent, error: str) -> None:
        """Note in the ledger that a store refused it."""
        ...

    async def clear_leftovers(self) -> None:
        """Drop what is left of dropped generations, as far as nobody holds it."""
        ...


Change = Callable[[Description], Description]
"""A change of a description. What it raises undoes everything."""


class TargetCollections(Protocol):
    """Changes of whole collections while the target is right: each commits with its ``*`` intent or not at all.

    Every method raises ``StaleEpoch`` when the source is right.
    """

    async def create(self, name: str, config: CreateCollection, *, owner: UUID) -> None:
        """Make an empty collection; one whose name has no stage is complete. Raises ``CollectionExists``."""
        ...

    async def drop(self, name: str, *, owner: UUID) -> bool:
        """Drop a collection; false when there is none. Its tables go later."""
        ...

    async def change(self, name: str, change: Change, *, cause: str, owner: UUID) -> int:
        """Change the description and return the operation's number. Raises ``CollectionNotFound``."""
        ...

    async def change_aliases(self, actions: Sequence[AliasOperations], *, owner: UUID) -> None:
        """Carry out a list of alias actions, all or none. Raises ``RequestError`` as Qdrant does."""
        ...
