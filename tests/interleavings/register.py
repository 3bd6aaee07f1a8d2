"""What the protocol keeps in the source: records, marks and hints; and Postgres' side of moving hints.

One request is one step; a read sees every write that returned. With a fault the request fails, before or after it took
effect, or takes long to arrive. ``ModelHinted`` follows service/stores/postgres/hinted.py.
"""

from collections.abc import Sequence
from uuid import UUID

from service.control.register import Mark, Record, SourceRegister
from service.errors import SourceUnavailable, TargetUnavailable
from service.protocol.hints import OwnedHints
from service.protocol.ledger import Hint, HintedLog
from service.stages import Side, authority, mirrors
from tests.interleavings.loop import ScriptedLoop
from tests.interleavings.postgres import IntentRow, Lock, Postgres

BEFORE = "no answer, without effect"
AFTER = "no answer"
SLOW = "slow"
SLOW_SECONDS = 2.5
"""Longer than a lease and the change of a stage."""


class Kept:
    """The points of ``_vecferry``."""

    def __init__(self, loop: ScriptedLoop) -> None:
        self._loop = loop
        self.records: dict[str, Record] = {}
        self.marks: dict[UUID, Mark] = {}
        self.hints: dict[UUID, Hint] = {}
        self.faults: tuple[str, ...] = ()

    async def change(self, label: str) -> "Answered":
        """Let a write arrive; apply it when this returns, then call ``answer``."""
        way = await self._loop.step(label, faults=self.faults)
        if way == BEFORE:
            raise SourceUnavailable("did not answer")
        if way == SLOW:
            await self._loop.pause(SLOW_SECONDS)
        return Answered(is_told=way != AFTER)

    async def look(self, label: str) -> None:
        """Let a read happen."""
        await self._loop.step(label)


class Answered:
    """A write that took effect."""

    def __init__(self, *, is_told: bool) -> None:
        self._is_told = is_told

    def answer(self) -> None:
        """Raise ``SourceUnavailable`` when nobody hears of it."""
        if not self._is_told:
            raise SourceUnavailable("did not answer")


class ModelRegister:
    """``SourceRegister`` over the model."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def prepare(self) -> None:
        """It is there."""

    async def record(self, name: str) -> Record | None:
        await self._kept.look("reads the record")
        return self._kept.records.get(name)

    async def records(self) -> Sequence[Record]:
        await self._kept.look("reads the records")
        return list(self._kept.records.values())

    async def swap(self, record: Record) -> bool:
        answered = await self._kept.change(f"stores record {record.version}: {_described(record)}")
        stored = self._kept.records.get(record.state.name)
        is_next = (stored.version if stored else 0) == record.version - 1
        if is_next:
            self._kept.records[record.state.name] = record
        answered.answer()
        return is_next

    async def mark(self, mark: Mark) -> None:
        answered = await self._kept.change("marks itself")
        self._kept.marks[mark.owner] = mark
        answered.answer()

    async def unmark(self, mark: Mark) -> None:
        answered = await self._kept.change("takes a mark away")
        stored = self._kept.marks.get(mark.owner)
        if stored is not None and stored.beat <= mark.beat:
            del self._kept.marks[mark.owner]
        answered.answer()

    async def marks(self) -> Sequence[Mark]:
        await self._kept.look("reads the marks")
        return list(self._kept.marks.values())


class ModelHints:
    """``OwnedHints`` over the model."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def write(self, hints: Sequence[Hint]) -> None:
        answered = await self._kept.change("writes hints")
        self._kept.hints |= {hint.intent.id: hint for hint in hints}
        answered.answer()

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        await self._kept.look("reads hints")
        found = sorted(self._kept.hints.items())
        return [
            hint
            for each, hint in found
            if owner in {None, hint.owner}
            and generation in {None, hint.intent.generation}
            and (after is None or each > after)
        ][:limit]

    async def count(self, generation: int | None = None) -> int:
        if self._kept.hints:  # a look that finds nothing is no news: it is not worth a choice
            await self._kept.look("counts hints")
        return sum(
            generation in {None, hint.intent.generation} for hint in self._kept.hints.values()
        )

    async def owners(self) -> set[UUID]:
        await self._kept.look("reads the owners of hints")
        return {hint.owner for hint in self._kept.hints.values()}

    async def discard(self, ids: Sequence[UUID]) -> None:
        answered = await self._kept.change("discards hints")
        for each in ids:
            self._kept.hints.pop(each, None)
        answered.answer()


class ModelHinted:
    """``HintedLog`` over the model of Postgres."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def take(self, hints: Sequence[Hint], *, owner: UUID) -> None:
        """hinted.py ``_TAKE``: one statement; a sign of life, the control row shared, once each."""
        tables = self._postgres.tables
        names = {hint.intent.collection for hint in hints}
        shared = [Lock(("control", name), is_shared=True) for name in sorted(names)]
        executed = await self._postgres.alone(
            "takes hints", *shared, look=lambda: owner in tables.instances
        )
        if not executed.seen:
            raise TargetUnavailable("does not know this instance")
        tables.heartbeat_at[owner] = self._postgres.loop.time()
        for hint in hints:
            self._take(hint, owner)
        await executed.told()

    def _take(self, hint: Hint, owner: UUID) -> None:
        tables, intent = self._postgres.tables, hint.intent
        row = tables.generation(intent.generation)
        if row is None or not mirrors(row.stage) or authority(row.stage) is not Side.SOURCE:
            return
        whose = None if hint.owner == owner else hint.owner
        there = tables.intents.get(intent.id)
        if there is not None:
            there.is_owed = True
        else:
            tables.intents[intent.id] = IntentRow(
                intent, owner, tables.next_number(), whose, is_owed=True
            )

    async def live_owners(self, *, silent_seconds: float) -> set[UUID]:
        await (await self._postgres.alone("is asked who lives")).told()
        tables, now = self._postgres.tables, self._postgres.loop.time()
        return {
            each for each in tables.instances if tables.heartbeat_at[each] > now - silent_seconds
        }


def _described(record: Record) -> str:
    frozen = ", frozen" if record.state.frozen else ""
    return f"{record.state.stage}, epoch {record.state.epoch}{frozen}"


def _proves_ports(
    register: ModelRegister, hints: ModelHints, hinted: ModelHinted
) -> tuple[SourceRegister, OwnedHints, HintedLog]:
    return register, hints, hinted
