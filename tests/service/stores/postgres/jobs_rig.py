"""A database with the empty collection ``c`` and both halves of the queue on it."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import numpy as np

from backfill.jobs import Claim, Job, JobKind, Options
from backfill.key_range import KeyRange
from service.model.ids import PointId, encode_key
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, PointRequest, VectorParams
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.store import PgStore

CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
KINDS = [JobKind.BACKFILL]


def point(point_id: PointId, source: str = "backfill") -> Point:
    """Return a point that says who wrote it."""
    return Point(point_id, {"": np.array([1.0, 2.0], np.float32)}, {"from": source})


@dataclass
class Queue:
    """The queue, and one process that uses it."""

    database: Database
    jobs: PostgresJobs
    ranges: PostgresRanges
    owner: UUID

    @classmethod
    async def on(cls, database: Database) -> "Queue":
        """Return a queue on a database that gets the collection."""
        await PgStore(database).create_collection("c", CONFIG)
        return cls(database, PostgresJobs(database), PostgresRanges(database), uuid4())

    async def running(self, *cuts: int, options: Options | None = None) -> Job:
        """Return a job whose ranges are cut at these ids."""
        await self.jobs.start(JobKind.BACKFILL, "c", options or Options())
        job = await self.jobs.claim_step(self.owner, KINDS)
        assert job is not None
        edges = [None, *map(encode_key, cuts), None]
        ranges = [KeyRange(*edges[at : at + 2]) for at in range(len(edges) - 1)]
        return await self.jobs.prepared(job, ranges, 3)

    async def claim(self, owner: UUID | None = None) -> Claim:
        """Return a claimed range."""
        claim = await self.ranges.claim(owner or self.owner, KINDS)
        assert claim is not None
        return claim

    async def latest(self) -> Job:
        """Return the newest backfill."""
        job = await self.jobs.latest(JobKind.BACKFILL, "c")
        assert job is not None
        return job

    async def silence(self) -> None:
        """Make all leases end, as if nobody had been heard for long."""
        async with self.database.connection() as connection:
            for table in ("jobs", "job_ranges"):
                await connection.execute(
                    f"UPDATE vecferry.{table} SET heard_at = heard_at - interval '1 hour'"
                )

    async def stored(self, *ids: PointId) -> dict[PointId, object]:
        """Return who wrote the points that are there."""
        request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
        records = await PgStore(self.database).retrieve("c", request)
        assert all(list(record.vectors or {}) == [""] for record in records)
        return {record.id: (record.payload or {}).get("from") for record in records}
