"""The register, the hints and their way back at port level: dictionaries that note what was asked of them, in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from service.control.register import Mark, Record, SourceRegister
from service.control.state import CollectionState
from service.errors import VecferryError
from service.protocol.hints import Detached, Heir, OwnedHints
from service.protocol.ledger import Hint, HintedLog, LedgerEntry
from service.stages import Stage
from tests.service.protocol.fakes import intent

ME, OTHER = uuid4(), uuid4()
STATE = CollectionState("things", Stage.DUALWRITE, 1, epoch=1)


def hint(owner: UUID = ME, *, generation: int = 1) -> Hint:
    """Return a hint of one id."""
    return Hint(intent(1, generation=generation), owner)


class MemoryRegister:
    """A ``SourceRegister`` of records that a test sets; ``on_read`` runs before one is read."""

    def __init__(self, journal: list[str]) -> None:
        self.states: dict[str, CollectionState] = {STATE.name: STATE}
        self.journal = journal
        self.read_error: VecferryError | None = None

    def become(self, **changes: object) -> None:
        """Change the record of the one collection."""
        self.states[STATE.name] = replace(self.states[STATE.name], **changes)  # type: ignore[arg-type]  # fields by name

    async def record(self, name: str) -> Record | None:
        self.journal.append("record")
        if self.read_error is not None:
            raise self.read_error
        state = self.states.get(name)
        return None if state is None else Record(state, 1)

    async def prepare(self) -> None:
        raise AssertionError("what is tested here has no business with this")

    async def records(self) -> Sequence[Record]:
        raise AssertionError("what is tested here has no business with this")

    async def swap(self, record: Record) -> bool:
        raise AssertionError("what is tested here has no business with this")

    async def mark(self, mark: Mark) -> None:
        raise AssertionError("what is tested here has no business with this")

    async def unmark(self, mark: Mark) -> None:
        raise AssertionError("what is tested here has no business with this")

    async def marks(self) -> Sequence[Mark]:
        raise AssertionError("what is tested here has no business with this")


class MemoryHints:
    """An ``OwnedHints``; ``write_error`` comes after a write took effect, ``discard_error`` before a deletion did."""

    def __init__(self, journal: list[str]) -> None:
        self.hints: dict[UUID, Hint] = {}
        self.journal = journal
        self.write_error: VecferryError | None = None
        self.discard_error: VecferryError | None = None
        self.largest_page = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, hints: Sequence[Hint]) -> None:
        self.journal.append("hint")
        await self.gate.wait()
        self.hints |= {each.intent.id: each for each in hints}
        if self.write_error is not None:
            raise self.write_error

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        found = [each for each in self.hints.values() if owner in {None, each.owner}][:limit]
        self.largest_page = max(self.largest_page, len(found))
        return found

    async def owners(self) -> set[UUID]:
        return {each.owner for each in self.hints.values()}

    async def count(self, generation: int | None = None) -> int:
        return len(self.hints)

    async def discard(self, ids: Sequence[UUID]) -> None:
        self.journal.append("discard")
        if self.discard_error is not None:
            raise self.discard_error
        for each in ids:
            self.hints.pop(each, None)


class MemoryDetached:
    """A ``Detached`` that notes what was asked."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.error: VecferryError | None = None

    async def announced(self, *, reads_may_be_moved: bool) -> None:
        self.journal.append("lease" if reads_may_be_moved else "mark")
        if self.error is not None:
            raise self.error


class MemoryHinted:
    """A ``HintedLog``: a dictionary of what was taken, by whom."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.taken: dict[UUID, UUID] = {}
        self.live: set[UUID] = set()
        self.error: VecferryError | None = None

    async def take(self, hints: Sequence[Hint], *, owner: UUID) -> None:
        if self.error is not None:
            raise self.error
        self.journal.append("take")
        for each in hints:
            self.taken.setdefault(each.intent.id, owner)

    async def live_owners(self, *, silent_seconds: float) -> set[UUID]:
        if self.error is not None:
            raise self.error
        return self.live


class Inherited:
    """A ``Heir`` that keeps what it is told of."""

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.entries: list[LedgerEntry] = []

    def inherited(self, entry: LedgerEntry) -> None:
        self.journal.append("inherited")
        self.entries.append(entry)


def _proves_ports(
    register: MemoryRegister,
    hints: MemoryHints,
    detached: MemoryDetached,
    hinted: MemoryHinted,
    heir: Inherited,
) -> tuple[SourceRegister, OwnedHints, Detached, HintedLog, Heir]:
    return register, hints, detached, hinted, heir
