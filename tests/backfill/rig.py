"""A collection with every kind of vector in a real Qdrant engine, its tables in a real Postgres, and processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import numpy as np
from prometheus_client import CollectorRegistry

from backfill.bell import Bell
from backfill.conductor import Conductor
from backfill.copying import CopySteps, CopyWork
from backfill.jobs import Job, JobKind, Options, Orders
from backfill.metrics import BackfillMetrics
from backfill.page_size import PageLimits
from backfill.queue import Note, RangeQueue, RangeWork, StepWork
from backfill.timing import Timing
from backfill.worker import Worker
from service.model.ids import PointId
from service.model.operations import Upsert
from service.model.points import Payload, Point, SparseVector, VectorValue
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    Distance,
    Modifier,
    MultiVectorComparator,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from service.ports import PointReader
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore

EVERY_KIND = CreateCollection(
    vectors={
        "text": VectorParams(size=8, distance=Distance.COSINE),
        "image": VectorParams(size=3, distance=Distance.EUCLID),
        "half": VectorParams(size=8, distance=Distance.COSINE, datatype=Datatype.FLOAT16),
        "bytes": VectorParams(size=3, distance=Distance.COSINE, datatype=Datatype.UINT8),
        "rows": VectorParams(
            size=3,
            distance=Distance.COSINE,
            datatype=Datatype.FLOAT16,
            multivector_config=MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM),
        ),
    },
    sparse_vectors={"words": SparseVectorParams(modifier=Modifier.IDF)},
)
PAYLOADS: tuple[Payload, ...] = (
    {},
    {"n": 1, "f": 1.0, "big": 2**63, "small": 1e-7},
    {"deep": {"list": [1, [None, True], {"ü": "€"}]}},
    {"e": 1e16, "zero": -0.0, "empty": {}, "none": None},
)
QUICK = Timing(
    heartbeat=0.1, first_idle=0.02, longest_idle=0.1, first_pause=0.02, longest_pause=0.2
)


def point_of_every_kind(
    number: int, rng: np.random.Generator, payloads: Sequence[Payload] = PAYLOADS
) -> Point:
    """Return a point that has most of the vectors and one of the payloads; even numbers have a UUID."""
    point_id: PointId = number if number % 2 else f"00000000-0000-0000-0000-{number:012d}"
    indices = rng.choice(2**32, number % 4, replace=False).astype(np.uint32)
    vectors: dict[str, VectorValue] = {
        "text": rng.random(8, dtype=np.float32),
        "image": rng.random(3, dtype=np.float32),
        "half": rng.random(8, dtype=np.float32),
        "bytes": rng.random(3, dtype=np.float32) * 300,
        "rows": rng.random((1 + number % 3, 3), dtype=np.float32),
        "words": SparseVector(indices, rng.random(len(indices), dtype=np.float32)),
    }
    for at, name in enumerate(sorted(vectors.keys() - {"text"})):
        if number % 7 == at:
            del vectors[name]
    return Point(point_id, vectors, dict(payloads[number % len(payloads)]))


class AtOnce:
    """A ``Pace`` that never waits and remembers what it was told."""

    def __init__(self) -> None:
        self.pages: list[int] = []

    async def after_page(
        self, *, points: int, target_seconds: float, source_seconds: float, orders: Orders, note: Note
    ) -> None:  # fmt: skip
        assert target_seconds >= 0
        assert source_seconds >= 0
        self.pages.append(points)


@dataclass
class Rig:
    """Both stores of one collection, and the queue."""

    name: str
    source: QdrantStore
    database: Database
    target: PgStore
    jobs: PostgresJobs
    ranges: PostgresRanges
    bell: Bell = field(default_factory=Bell)
    backfilled: list[int] = field(default_factory=list)

    def copy_work(
        self,
        *,
        source: PointReader | None = None,
        queue: RangeQueue | None = None,
        pace: AtOnce | None = None,
        points: int = 7,
        registry: CollectorRegistry | None = None,
    ) -> CopyWork:
        """Return what copies, in small pages."""
        return CopyWork(
            source or self.source,
            queue or self.ranges,
            pace or AtOnce(),
            BackfillMetrics(registry or CollectorRegistry()),
            limits=PageLimits(points=points),
        )

    def copy_steps(self, source: PointReader | None = None) -> CopySteps:
        """Return what comes before and after; nothing has to be armed here."""

        async def arm(job: Job, note: Note) -> None:
            note("waiting for nobody")

        async def build(collection: str, note: Note) -> Sequence[Mapping[str, object]]:
            return [{"vector": "text", "rows": 0}]

        async def mark(job: Job) -> None:
            self.backfilled.append(job.generation)

        return CopySteps(source or self.source, arm, build, mark)

    @asynccontextmanager
    async def process(
        self,
        *,
        steps: StepWork | None = None,
        work: RangeWork | None = None,
        concurrency: int = 1,
        conducts: bool = True,
        kind: JobKind = JobKind.BACKFILL,
    ) -> AsyncIterator[None]:
        """Run a conductor and a worker until the block ends."""
        owner = uuid4()
        conductor = Conductor(
            {kind: steps or self.copy_steps()}, self.jobs, owner, bell=self.bell, timing=QUICK
        )
        worker = Worker(
            {kind: work or self.copy_work()},
            self.ranges,
            owner,
            concurrency=concurrency,
            bell=self.bell,
            timing=QUICK,
        )
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(worker.run())]
            if conducts:
                running.append(tasks.create_task(conductor.run()))
            yield
            for each in running:
                each.cancel()

    async def start(self, options: Options | None = None, *, restart: bool = False) -> Job:
        """Ask for a backfill."""
        job = await self.jobs.start(
            JobKind.BACKFILL, self.name, options or Options(), restart=restart
        )
        self.bell.ring()
        return job

    async def latest(self) -> Job:
        """Return the newest backfill."""
        job = await self.jobs.latest(JobKind.BACKFILL, self.name)
        assert job is not None
        return job

    async def ended(self, seconds: float = 20.0) -> Job:
        """Return the newest backfill when it has ended."""
        async with asyncio.timeout(seconds):
            while (job := await self.latest()).state.is_open:  # noqa: ASYNC110 - other processes end it
                await asyncio.sleep(0.01)
        return job

    async def backfill(self) -> Job:
        """Copy everything and return the job."""
        async with self.process():
            await self.start()
            return await self.ended()


@asynccontextmanager
async def rig_on(
    qdrant_url: str, name: str, database: Database, config: CreateCollection = EVERY_KIND
) -> AsyncIterator[Rig]:
    """Make the collection in both stores, empty."""
    async with QdrantHttp(qdrant_url) as http:
        source = QdrantStore(http)
        await source.create_collection(name, config)
        target = PgStore(database)
        await target.create_collection(name, config)
        yield Rig(name, source, database, target, PostgresJobs(database), PostgresRanges(database))


async def fill(rig: Rig, count: int = 60) -> None:
    """Put points of every kind into the source."""
    rng = np.random.default_rng(3)
    points = [point_of_every_kind(number, rng) for number in range(count)]
    await rig.source.apply(rig.name, Upsert(points), wait=True)
