"""Verifications of two stores on a real Postgres, step by step and without waiting for clocks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from prometheus_client import CollectorRegistry

from backfill.confirming import Judge, Looks
from backfill.jobs import Job, JobKind, JobState, Options, Orders
from backfill.metrics import BackfillMetrics
from backfill.queue import Note, Quarantined
from backfill.receipts import Document
from backfill.retry import Retry
from backfill.verify import Effort, VerifyWork
from backfill.verify_steps import Patience, VerifySteps
from service.errors import StaleEpoch
from service.model.ids import PointId
from service.ports import PointReader
from service.protocol.ledger import HintStore
from service.protocol.mirrors import BarrierStore, SourceMirror
from service.stores.postgres.confirming import PostgresJudge
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.receipts import PostgresReceipts, PostgresSurroundings
from service.stores.postgres.store import PgStore

KINDS = [JobKind.VERIFY]


class NoPace:
    """Never waits; ``after`` is called after every page and may raise."""

    def __init__(self, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self._after = after

    async def after_page(
        self,
        *,
        points: int,
        target_seconds: float,
        source_seconds: float,
        orders: Orders,
        note: Note,
    ) -> None:
        if self._after is not None:
            await self._after()


class Waived:
    """A quarantine in which some keys are waived."""

    def __init__(self, keys: frozenset[bytes] = frozenset()) -> None:
        self.keys = keys

    async def listed(
        self, collection: str | None, *, limit: int, after: tuple[int, bytes] | None = None
    ) -> Sequence[Quarantined]:
        return ()

    async def waive(self, collection: str, ids: Sequence[PointId], *, actor: str) -> int:
        raise AssertionError("what is tested here has no business with this")

    async def blocking(self, generation: int) -> int:
        return 0

    async def waived_keys(self, generation: int) -> frozenset[bytes]:
        return self.keys

    async def counts(self) -> dict[str, tuple[int, int]]:
        return {}


async def _version() -> str:
    return "1.17.0"


@dataclass
class Verifier:
    """What a verification is made of, with small pages and short waits."""

    source: BarrierStore
    database: Database
    hints: HintStore | None = None
    effort: Effort = field(default_factory=lambda: Effort(first_page=5, most_points=7))
    patience: Patience = field(default_factory=lambda: Patience(0.05, 0.2, 0.02))
    quarantine: Waived = field(default_factory=Waived)
    key: bytes | None = None
    target: PointReader | None = None
    judge: Judge | None = None
    pace: NoPace = field(default_factory=NoPace)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    notes: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the parts together."""
        self.queue = PostgresJobs(self.database)
        self.ranges = PostgresRanges(self.database)
        self.receipts = PostgresReceipts(self.database)
        self.target = self.target or PgStore(self.database)
        fetcher = SourceMirror(self.source).fetcher
        self.judge = self.judge or PostgresJudge(self.database, fetcher, self.hints)
        self.metrics = BackfillMetrics(self.registry)

    @property
    def steps(self) -> VerifySteps:
        """The half around the ranges."""
        assert self.target is not None
        assert self.judge is not None
        return VerifySteps(
            looks=Looks(self.source, self.target, self.judge, Retry(2, 0.0)),
            queue=self.queue,
            receipts=self.receipts,
            quarantine=self.quarantine,
            look_around=PostgresSurroundings(self.database, _version),
            metrics=self.metrics,
            patience=self.patience,
            key=self.key,
        )

    @property
    def work(self) -> VerifyWork:
        """The half of the ranges."""
        assert self.target is not None
        return VerifyWork(
            self.source, self.target, self.ranges, self.receipts,
            self.pace, self.metrics, self.effort,
        )  # fmt: skip

    def note(self, text: str | None) -> None:
        """Keep what was said to be waited for."""
        self.notes.append(text)

    async def run(self, collection: str, *, workers: int = 1) -> Mapping[str, Any]:
        """Verify from the beginning to the receipt and return its summary."""
        await self.begin(collection)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self.work_on())
        return await self.end()

    async def document(self, collection: str) -> Document:
        """Return the newest receipt."""
        found = await self.receipts.latest(collection)
        assert found is not None
        return found

    async def begin(self, collection: str) -> Job:
        """Make a job and its ranges."""
        await self.queue.start(JobKind.VERIFY, collection, Options())
        job = await self.queue.claim_step(uuid4(), KINDS)
        assert job is not None
        ranges, total = await self.steps.prepare(job, self.note)
        return await self.queue.prepared(job, ranges, total)

    async def work_on(self, most: int | None = None) -> int:
        """Work on ranges until none is free, or ``most`` were done."""
        owner, done = uuid4(), 0
        while most is None or done < most:
            claim = await self.ranges.claim(owner, KINDS)
            if claim is None:
                break
            try:
                await self.work.work(claim, self.note)
            except (asyncio.CancelledError, StaleEpoch):
                await self.ranges.release(claim, owner)
                raise
            done += 1
        return done

    async def end(self) -> Mapping[str, Any]:
        """Judge, and make the receipt."""
        job = await self.queue.claim_step(uuid4(), KINDS)
        assert job is not None
        assert job.state is JobState.FINISHING
        result = await self.steps.finish(job, self.note)
        await self.queue.finished(job, result)
        return result
