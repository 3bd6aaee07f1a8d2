"""The register in memory, to be made to fail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from service.control.register import Mark, Record, SourceRegister
from service.control.state import CollectionState
from service.errors import VecferryError
from service.protocol.ledger import Hint


@dataclass
class MemoryRegister:
    """``SourceRegister`` and the hints' port; ``error`` is what every request meets."""

    stored: dict[str, Record] = field(default_factory=dict)
    beats: dict[UUID, int] = field(default_factory=dict)
    hints: list[Hint] = field(default_factory=list)
    error: VecferryError | None = None
    mark_error: VecferryError | None = None
    is_prepared: bool = False
    history: list[CollectionState] = field(default_factory=list)

    def _ask(self) -> None:
        if self.error is not None:
            raise self.error

    async def prepare(self) -> None:
        self._ask()
        self.is_prepared = True

    async def record(self, name: str) -> Record | None:
        self._ask()
        return self.stored.get(name)

    async def records(self) -> Sequence[Record]:
        self._ask()
        return list(self.stored.values())

    async def swap(self, record: Record) -> bool:
        self._ask()
        assert self.is_prepared
        stored = self.stored.get(record.state.name)
        if record.version != (1 if stored is None else stored.version + 1):
            return False
        self.stored[record.state.name] = record
        self.history.append(record.state)
        return True

    async def mark(self, mark: Mark) -> None:
        self._ask()
        if self.mark_error is not None:
            raise self.mark_error
        self.beats[mark.owner] = mark.beat

    async def unmark(self, mark: Mark) -> None:
        self._ask()
        if self.beats.get(mark.owner, mark.beat) <= mark.beat:
            self.beats.pop(mark.owner, None)

    async def marks(self) -> Sequence[Mark]:
        self._ask()
        return [Mark(owner, beat) for owner, beat in self.beats.items()]

    async def count(self, generation: int | None = None) -> int:
        self._ask()
        return sum(generation in {None, hint.intent.generation} for hint in self.hints)

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        self._ask()
        found = [
            hint
            for hint in self.hints
            if owner in {None, hint.owner} and generation in {None, hint.intent.generation}
        ]
        return found[:limit]

    async def write(self, hints: Sequence[Hint]) -> None:
        self._ask()
        self.hints += hints

    async def discard(self, ids: Sequence[UUID]) -> None:
        self._ask()
        self.hints = [hint for hint in self.hints if hint.intent.id not in ids]


def _proves_port(register: MemoryRegister) -> SourceRegister:
    return register
