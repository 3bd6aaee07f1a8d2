"""What the source keeps of the control state, for the time when an instance has lost Postgres (R6).

A collection of ours in Qdrant (``_vecferry``) holds three kinds of points:

- a *record* per collection: its stage as Postgres has it, with a version for compare-and-set;
- a *mark* per detached instance: "I have no Postgres, I may write hints and read only the source";
- the *hints* themselves (``service/protocol/ledger.py``).

Rule 1: who writes a hint writes it first and reads the record afterwards; a frozen record, another generation or a
        target that is right refuses the write.
Rule 2: who changes a stage freezes the record first and looks for hints afterwards. So a hint is either seen by the
        change or its writer is refused.
Rule 3: a record is changed only by compare-and-set on its version, with the version read *before* Postgres' row, so
        that a late write of a slow instance changes nothing.
Rule 4: an instance marks itself before its first hint; moved reads (``ramp``) need a look at the marks that began
        less than ``LEASE_SECONDS`` ago and after the view was read, and found none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from service.control.state import CollectionState

REGISTER = "_vecferry"
"""The collection in Qdrant; hidden from clients."""

LEASE_SECONDS = 1.0
"""How old a look at the marks may be for a moved read; how long a newly marked instance waits in ``ramp``."""


@dataclass(frozen=True, slots=True)
class Record:
    """A collection's stage as the source knows it; ``version`` counts the changes of the record, from 1."""

    state: CollectionState
    version: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A detached instance; ``beat`` grows for as long as it lives."""

    owner: UUID
    beat: int


class SourceRegister(Protocol):
    """The register in Qdrant. Every method raises ``SourceUnavailable`` or ``StoreAnswered``.

    A register that was never made reads as empty; ``prepare`` makes it. Reads see every write that returned before.
    """

    async def prepare(self) -> None:
        """Make the register if it is not there; a second call does nothing."""
        ...

    async def record(self, name: str) -> Record | None:
        """Return one record."""
        ...

    async def records(self) -> Sequence[Record]:
        """Return all records."""
        ...

    async def swap(self, record: Record) -> bool:
        """Store a record if the stored version is ``record.version - 1`` (0: there is none); false when it is not."""
        ...

    async def mark(self, mark: Mark) -> None:
        """Say that an instance is detached, or still is; visible when this returns."""
        ...

    async def unmark(self, mark: Mark) -> None:
        """Take a mark away, unless its owner has renewed it since, however late this is carried out."""
        ...

    async def marks(self) -> Sequence[Mark]:
        """Return all marks."""
        ...
