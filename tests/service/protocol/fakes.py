"""The ledger and the source at port level: dictionaries that note what was asked of them, in order."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from prometheus_client import CollectorRegistry

from service.errors import VecferryError
from service.metrics import ProxyMetrics
from service.model.ids import PointId, encode_key
from service.model.points import Point
from service.protocol.ledger import (
    Fetch,
    Intent,
    IntentLog,
    LedgerEntry,
    LedgerPage,
    Place,
    Push,
    Settled,
    Settlement,
)
from service.protocol.mirrors import MirrorSource
from service.stages import Side

Fault = Callable[[frozenset[PointId]], VecferryError | None]


def metrics() -> ProxyMetrics:
    """Return metrics that nobody scrapes."""
    return ProxyMetrics(CollectorRegistry())


def keys(*ids: PointId) -> tuple[bytes, ...]:
    """Return the keys of ids."""
    return tuple(encode_key(point_id) for point_id in ids)


def intent(
    *ids: PointId, generation: int = 1, behind: Side = Side.TARGET, owed: bool = True
) -> Intent:
    """Return an intent of epoch 1."""
    return Intent(uuid4(), generation, 1, behind, owed, keys(*ids), "test", "things")


def entry(of: Intent) -> LedgerEntry:
    """Return an intent as the ledger gives it back."""
    return LedgerEntry(of.id, of.generation, "c", of.behind, of.keys)


class MemoryLog:
    """An ``IntentLog`` without data: a settlement asks the source and deletes the intents."""

    def __init__(self, journal: list[str] | None = None) -> None:
        self.rows: dict[UUID, Intent] = {}
        self.settled: list[set[UUID]] = []
        self.batches: list[int] = []
        self.orphans: list[LedgerEntry] = []
        self.stale: set[UUID] = set()
        self.attempts: dict[UUID, UUID] = {}
        self.refused: set[UUID] = set()
        self.pinned: set[UUID] = set()
        self.hidden: set[UUID] = set()
        self.outcome = Settled.DONE
        self.pages: list[int] = []
        self.insert_errors: list[Exception | None] = []
        self.settle_errors: list[VecferryError] = []
        self.adopt_errors: list[VecferryError] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.journal = [] if journal is None else journal

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        self.batches.append(len(intents))
        await self.gate.wait()
        if self.insert_errors and (error := self.insert_errors.pop(0)) is not None:
            raise error
        taken = {row.id: row for row in intents if row.id not in self.stale}
        self.rows |= taken
        self.journal += ["intent"] * len(taken)
        return set(taken)

    async def open_entries(self, *, owner: UUID, after: Place | None, limit: int) -> LedgerPage:
        ids = [each for each in self.rows if each not in self.hidden]
        first = ids.index(after.id) + 1 if after and after.id in ids else 0
        found = [
            replace(entry(self.rows[each]), attempt_by=self.attempts.get(each))
            for each in ids[first : first + limit]
        ]
        self.pages.append(len(found))
        is_last = first + limit >= len(ids)
        return LedgerPage(found, None if is_last else Place(datetime.now(UTC), found[-1].id))

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        if self.adopt_errors:
            raise self.adopt_errors.pop(0)
        adopted, self.orphans = self.orphans[:limit], self.orphans[limit:]
        return adopted

    async def owe(self, generation: int) -> None:
        self.rows = {each: replace(row, owed=True) for each, row in self.rows.items()}
        self.journal.append("owed")

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        raise AssertionError("what is tested here has no business with this")

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settlement:
        await fetch([int.from_bytes(key[1:], "big") for key in keys])
        return self._settle(intents)

    async def settle_source(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        *,
        owner: UUID,
    ) -> Settlement:
        await push([], [int.from_bytes(key[1:], "big") for key in keys])
        return self._settle(intents)

    def _settle(self, intents: Sequence[UUID]) -> Settlement:
        if self.settle_errors:
            raise self.settle_errors.pop(0)
        refused = frozenset(intents) & self.refused
        waiting = frozenset(intents) & self.pinned
        settled = set(intents) - refused - waiting
        self.settled.append(settled)
        self.journal.append("settled")
        for each in settled:
            self.rows.pop(each, None)
        return Settlement(self.outcome, refused, waiting)


class MemorySource:
    """A ``MirrorSource`` whose reads, writes and barriers fail where ``fault`` says so."""

    def __init__(self, journal: list[str] | None = None) -> None:
        self.fault: Fault = lambda _: None
        self.hanging: set[PointId] = set()
        self.barrier_fault: Fault = lambda _: None
        self.asked: list[frozenset[PointId]] = []
        self.barriers: list[frozenset[PointId]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.journal = [] if journal is None else journal

    def fetcher(self, collection: str) -> Fetch:
        async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
            await self._answer(ids)
            return []

        return fetch

    def pusher(self, collection: str) -> Push:
        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            await self._answer(absent)

        return push

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        self.journal.append("barrier")
        if (error := self.barrier_fault(frozenset(ids))) is not None:
            raise error
        self.barriers.append(frozenset(ids))

    async def _answer(self, ids: Sequence[PointId]) -> None:
        self.asked.append(frozenset(ids))
        await self.gate.wait()
        if self.hanging & set(ids):
            await asyncio.Event().wait()
        if (error := self.fault(frozenset(ids))) is not None:
            raise error


def _proves_ports(log: MemoryLog, source: MemorySource) -> tuple[IntentLog, MirrorSource]:
    return log, source
