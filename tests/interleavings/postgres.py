"""Postgres as the protocol sees it: rows, locks, ``READ COMMITTED`` transactions, one step for each statement.

Reads see what is committed. A transaction's own writes become visible with its commit, which is one step with them:
nobody else could tell the difference. Row and advisory locks are kept until the end; who must wait waits in a step
that is enabled when the lock is free. A connection can be lost at every statement, and before or after a commit.

Not modelled: the pools, ``lock_timeout`` and deadlocks between more than the locks named here.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from service.errors import TargetUnavailable
from service.model.ids import PointId
from service.protocol.ledger import Intent
from service.stages import Stage
from tests.interleavings.loop import OWNER, ScriptedLoop

CUT = "connection lost"
CUT_AFTER = "connection lost after the commit"
SLOW = "is slow"
SLOW_SECONDS = 2.5
"""Longer than any budget of a client."""


@dataclass(slots=True)
class IntentRow:
    """A row of vecferry.intents."""

    intent: Intent
    owner: UUID
    number: int
    attempt_by: UUID | None = None
    is_owed: bool = False


@dataclass(slots=True)
class ControlRow:
    """A row of vecferry.control."""

    name: str
    generation: int
    stage: Stage
    percent: int = 100
    epoch: int = 1
    frozen_by: UUID | None = None
    frozen_until: float = 0.0


@dataclass(slots=True)
class Tables:
    """Everything that is committed. A point that is ``None`` is a tombstone."""

    control: dict[str, ControlRow] = field(default_factory=dict)
    instances: dict[UUID, str] = field(default_factory=dict)
    confirmed: dict[UUID, int] = field(default_factory=dict)
    heartbeat_at: dict[UUID, float] = field(default_factory=dict)
    intents: dict[UUID, IntentRow] = field(default_factory=dict)
    points: dict[PointId, int | None] = field(default_factory=dict)
    revision: int = 1
    numbers: int = 0

    def next_number(self) -> int:
        """Return the next place in the order of age."""
        self.numbers += 1
        return self.numbers

    def present(self) -> dict[PointId, int]:
        """Return the points that are not deleted."""
        return {each: value for each, value in self.points.items() if value is not None}

    def generation(self, number: int | None) -> ControlRow | None:
        """Return the control row of a generation."""
        return next((row for row in self.control.values() if row.generation == number), None)


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that a statement takes, kept to the end of its transaction."""

    name: object
    is_shared: bool = False


class Transaction:
    """One open transaction."""

    def __init__(self, postgres: "Postgres") -> None:
        self._postgres = postgres
        self.owner = OWNER.get()
        self._writes: list[Callable[[Tables], None]] = []

    async def statement(self, label: str, *locks: Lock) -> None:
        """Run a statement that takes these locks, in this order; reads after it are the statement's own.

        Raises ``TargetUnavailable`` when the connection is lost.
        """
        if await self._postgres.loop.step(f"postgres {label}", faults=self._postgres.faults):
            raise TargetUnavailable("connection lost")
        self._postgres.check_connection()
        for lock in locks:
            if not self._postgres.is_free(lock, self):
                await self._postgres.loop.step(
                    f"postgres {label}, after waiting for {lock.name}",
                    is_enabled=lambda wanted=lock: self._postgres.is_free(wanted, self),  # type: ignore[misc]
                )
            self._postgres.take(lock, self)

    def write(self, change: Callable[[Tables], None]) -> None:
        """Change rows that this transaction has locked; visible with the commit."""
        self._writes.append(change)

    async def commit(self) -> None:
        """Commit. Raises ``TargetUnavailable``, and then it may have happened."""
        faults = (CUT, CUT_AFTER) if self._postgres.faults else ()
        way = await self._postgres.loop.step("postgres writes and commits", faults=faults)
        self._postgres.check_connection()
        if way != CUT:
            for change in self._writes:
                change(self._postgres.tables)
        if way:
            raise TargetUnavailable("connection lost")


class Postgres:
    """The database."""

    def __init__(self, loop: ScriptedLoop, tables: Tables) -> None:
        self.loop = loop
        self.tables = tables
        self.faults: tuple[str, ...] = ()
        self.slow_faults: tuple[str, ...] = ()
        self.answers_apart = False
        """Whether the answer to a statement of its own is another step: who asked may stand still between."""
        self.cut_off: set[str] = set()
        """Instances that cannot reach it."""
        self._held: dict[object, list[tuple[Transaction, bool]]] = {}
        self._open: list[Transaction] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction; committed when the block ends well."""
        transaction = Transaction(self)
        self._open.append(transaction)
        try:
            yield transaction
            await transaction.commit()
        finally:
            self._end(transaction)

    async def alone(
        self, label: str, *waits_for: Lock, look: Callable[[], object] = lambda: None
    ) -> "Alone":
        """Run a statement that is a transaction of its own; the caller executes it when this returns.

        ``look`` reads the statement's snapshot, before it waits for locks. Call ``told`` when it is executed. Raises
        ``TargetUnavailable`` when the connection is lost before.
        """
        faults = (*self.faults, *((CUT_AFTER,) if self.faults else ()), *self.slow_faults)
        way = await self.loop.step(f"postgres {label}", faults=faults)
        if way == CUT:
            raise TargetUnavailable("connection lost")
        self.check_connection()
        if way == SLOW:
            await self.loop.pause(SLOW_SECONDS)
        seen = look()
        for lock in waits_for:
            if not self.is_free(lock, None):
                await self.loop.step(
                    f"postgres {label}, after waiting for {lock.name}",
                    is_enabled=lambda wanted=lock: self.is_free(wanted, None),  # type: ignore[misc]
                )
        return Alone(seen, self, is_told=way != CUT_AFTER)

    def check_connection(self) -> None:
        """Raise ``TargetUnavailable`` when the asking instance is cut off."""
        if OWNER.get() in self.cut_off:
            raise TargetUnavailable("cannot be reached")

    def is_free(self, lock: Lock, taker: Transaction | None) -> bool:
        """Say whether nobody else holds it in a way that excludes this one."""
        return all(
            holder is taker or (is_shared and lock.is_shared)
            for holder, is_shared in self._held.get(lock.name, ())
        )

    def take(self, lock: Lock, taker: Transaction) -> None:
        """Note a lock."""
        self._held.setdefault(lock.name, []).append((taker, lock.is_shared))

    def cut(self, owner: str) -> None:
        """Roll back what a dead instance had open."""
        for transaction in [each for each in self._open if each.owner == owner]:
            self._end(transaction)

    def _end(self, transaction: Transaction) -> None:
        if transaction in self._open:
            self._open.remove(transaction)
        for name, holders in list(self._held.items()):
            left = [(holder, shared) for holder, shared in holders if holder is not transaction]
            if left:
                self._held[name] = left
            else:
                del self._held[name]


@dataclass(frozen=True, slots=True)
class Alone:
    """A statement that was executed."""

    seen: object
    postgres: "Postgres"
    is_told: bool

    async def told(self) -> None:
        """Return when the caller hears of it. Raises ``TargetUnavailable`` when it never does."""
        if self.postgres.answers_apart:
            await self.postgres.loop.step("postgres answers")
        if not self.is_told:
            raise TargetUnavailable("connection lost")
