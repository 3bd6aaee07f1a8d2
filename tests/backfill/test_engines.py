"""Backfill and verification between a real Qdrant engine and a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from backfill.canonical import Kind
from backfill.job import Job, JobState
from backfill.metrics import BackfillMetrics
from backfill.receipt import Receipt
from backfill.run import Backfill
from backfill.verify import Effort, Verification
from service.errors import StoreError
from service.model.ids import PointId, sorted_keys
from service.model.operations import ByIds, Delete, DeleteVectors, SetPayload, UpdateVectors, Upsert
from service.model.points import Point, SparseVector, VectorValue
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    Distance,
    Modifier,
    MultiVectorComparator,
    MultiVectorConfig,
    PointRequest,
    SparseVectorParams,
    VectorParams,
)
from service.stores.postgres import catalog, reads, writes
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore

CONFIG = CreateCollection(
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
PAYLOADS: tuple[dict[str, object], ...] = (
    {},
    {"n": 1, "f": 1.0, "big": 2**63, "small": 1e-7},
    {"deep": {"list": [1, [None, True], {"ü": "€"}]}},
    {"e": 1e16, "zero": -0.0, "empty": {}, "none": None},
)


@dataclass
class Rig:
    """Both stores of one collection."""

    name: str
    source: QdrantStore
    database: Database
    target: PgStore

    def backfill(self, page_size: int = 7) -> Backfill:
        """Return a backfill with small pages."""
        metrics = BackfillMetrics(CollectorRegistry())
        return Backfill(self.source, PostgresJobs(self.database), metrics, page_size=page_size)

    async def verify(self) -> Receipt:
        """Compare both stores without waiting for long."""
        effort = Effort(page_size=11, recheck_seconds=0.01, rounds=2)
        metrics = BackfillMetrics(CollectorRegistry())
        return await Verification(self.source, self.target, metrics, effort).run(self.name)


@pytest.fixture
async def rig(qdrant_url: str, collection_name: str, database: Database) -> AsyncIterator[Rig]:
    """A source of 60 points of every kind, and an empty target."""
    rng = np.random.default_rng(3)
    async with QdrantHttp(qdrant_url) as http:
        source = QdrantStore(http)
        await source.create_collection(collection_name, CONFIG)
        points = [_point(i, rng) for i in range(60)]
        await source.apply(collection_name, Upsert(points), wait=True)
        target = PgStore(database)
        await target.create_collection(collection_name, CONFIG)
        yield Rig(collection_name, source, database, target)


def _point(number: int, rng: np.random.Generator) -> Point:
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
    return Point(point_id, vectors, dict(PAYLOADS[number % len(PAYLOADS)]))


async def test_a_copy_is_equal(rig: Rig) -> None:
    """After a backfill every point, with all its vectors and its payload, is the same in both."""
    job = await rig.backfill().run(rig.name)
    assert (job.state, job.copied, job.total) == (JobState.DONE, 60, 60)
    receipt = await rig.verify()
    assert receipt.is_clean, receipt.to_json()
    assert receipt.compared == receipt.control_points == receipt.candidate_points == 60


async def test_float16_is_copied_bit_by_bit(rig: Rig) -> None:
    """It was normalised before it was rounded; once more would change it."""
    await rig.backfill().run(rig.name)
    request = PointRequest(
        ids=list(range(1, 60, 2)), with_payload=False, with_vector=["half", "rows"]
    )
    theirs = await rig.source.retrieve(rig.name, request)
    ours = await rig.target.retrieve(rig.name, request)
    for one, other in zip(theirs, ours, strict=True):
        for name, vector in (one.vectors or {}).items():
            copy = (other.vectors or {})[name]
            assert isinstance(vector, np.ndarray)
            assert isinstance(copy, np.ndarray)
            assert np.array_equal(vector, copy)


@pytest.mark.parametrize("pages", [1, 4, 8])
async def test_a_killed_run_is_resumed(rig: Rig, pages: int) -> None:
    """A run that is killed while it works is taken over, and the stores end equal."""
    seen = asyncio.Event()
    count = 0

    def kill_after(job: object) -> None:
        nonlocal count
        count += 1
        if count == pages:
            seen.set()

    async with asyncio.TaskGroup() as owner:
        run = owner.create_task(rig.backfill().run(rig.name, on_progress=kill_after))
        await seen.wait()
        run.cancel()
    job = await rig.backfill().run(rig.name)
    assert job.scanned == job.copied == 60
    assert job.attempt == 2
    assert (await rig.verify()).is_clean


async def test_a_point_deleted_meanwhile_does_not_come_back(rig: Rig) -> None:
    """Live deletions and updates after a page was read are stronger than its copy."""

    async def write_live() -> None:
        await rig.source.apply(rig.name, Delete(ByIds((51, 57))), wait=True)
        await rig.source.apply(rig.name, SetPayload(ByIds((59,)), {"live": 1}), wait=True)
        async with rig.database.transaction() as connection:
            tables = await catalog.get(connection, rig.name)
            vectors = {"text": np.ones(8, np.float32)}
            await writes.mirror(connection, tables, [Point(59, vectors, {"live": 2})], [51, 57])

    class Racing(PostgresJobs):
        """Writes after the pages have been read and before they are inserted."""

        async def insert_page(
            self, job: Job, points: Sequence[Point], next_cursor: PointId | None
        ) -> Job:
            await write_live()
            return await super().insert_page(job, points, next_cursor)

    # One page holds everything: it was read before the live writes.
    metrics = BackfillMetrics(CollectorRegistry())
    racing = Backfill(rig.source, Racing(rig.database), metrics, page_size=100)
    job = await racing.run(rig.name)
    assert (job.scanned, job.copied) == (60, 57)
    receipt = await rig.verify()
    assert receipt.candidate_points == receipt.control_points == 58
    assert {entry.id for entry in receipt.confirmed} == {59}


async def test_a_payload_that_postgres_cannot_hold_is_named(rig: Rig) -> None:
    """A NUL does not fit into jsonb: the job names the page on one line, and keeps the pages before."""
    await rig.source.apply(rig.name, SetPayload(ByIds((31,)), {"s": chr(0)}), wait=True)
    with pytest.raises(StoreError):
        await rig.backfill().run(rig.name)
    job = await PostgresJobs(rig.database).get(rig.name)
    assert job is not None
    assert (job.state, job.copied) == (JobState.FAILED, 14)
    assert job.error == (
        "the target refused the page of the ids 29 to 41:"
        " Wrong input: unsupported Unicode escape sequence"
    )


async def test_points_go_back_to_the_source(rig: Rig) -> None:
    """What Qdrant makes of the stored vectors when they are pushed to it is equal to them."""
    await rig.backfill().run(rig.name)
    async with rig.database.connection() as connection:
        tables = await catalog.get(connection, rig.name)
        points = await reads.whole_points(connection, tables, sorted_keys(range(1, 60, 2)))
    await rig.source.apply(rig.name, Delete(ByIds(tuple(p.id for p in points))), wait=True)
    await rig.source.apply(rig.name, Upsert(points), wait=True)
    receipt = await rig.verify()
    assert receipt.is_clean, receipt.to_json()


async def test_every_kind_of_difference_is_found(rig: Rig) -> None:
    """Changes made behind the proxy's back, one of each kind, are reported under their names."""
    await rig.backfill().run(rig.name)
    await rig.target.apply(rig.name, Delete(ByIds((1,))), wait=True)
    await rig.target.apply(rig.name, SetPayload(ByIds((3,)), {"n": 2}), wait=True)
    slightly = np.full(3, 1.00001, np.float32)
    await rig.source.apply(
        rig.name, UpdateVectors([(7, {"image": np.ones(3, np.float32)})]), wait=True
    )
    await rig.target.apply(rig.name, UpdateVectors([(7, {"image": slightly})]), wait=True)
    await rig.target.apply(rig.name, DeleteVectors(ByIds((9,)), ("words",)), wait=True)
    await rig.target.apply(rig.name, Upsert([Point(1000, {}, {})]), wait=True)
    receipt = await rig.verify()
    assert {entry.id: entry.kinds for entry in receipt.confirmed} == {
        1: (Kind.MISSING,), 3: (Kind.PAYLOAD,), 7: (Kind.VECTOR,), 9: (Kind.VECTOR,), 1000: (Kind.EXTRA,),
    }  # fmt: skip
