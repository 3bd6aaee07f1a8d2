"""Stores at port level: dictionaries that keep the contract, and break where a test says so."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from backfill.job import Job, JobState
from service.errors import StaleEpoch, VecferryError
from service.model.ids import PointId, encode_key
from service.model.points import Hit, Page, Point, Record
from service.model.qdrant import (
    CollectionInfo,
    CountRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
)

Payload = dict[str, object]


def point(point_id: PointId, payload: Payload | None = None, *numbers: float) -> Point:
    """Return a point with one unnamed vector."""
    vector = np.array(numbers or (1.0, 0.0), dtype=np.float32)
    return Point(point_id, {"": vector}, dict(payload or {}))


class Shelf:
    """A ``PointReader`` over a dictionary; ``failures`` are raised by the next reads, in order."""

    def __init__(self, points: Iterable[Point] = ()) -> None:
        self.points = {p.id: p for p in points}
        self.failures: list[VecferryError] = []
        self.scrolls = 0
        self.before_retrieve: Callable[[], None] = lambda: None

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        await self._turn()
        self.scrolls += 1
        start = b"" if request.offset is None else encode_key(_id(request.offset))
        ids = [i for i in sorted(self.points, key=encode_key) if encode_key(i) >= start]
        size = request.limit or 10
        records = [self._record(i) for i in ids[:size]]
        return Page(records, ids[size] if len(ids) > size else None)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        self.before_retrieve()
        await self._turn()
        return [self._record(_id(i)) for i in request.ids if i in self.points]

    async def count(self, collection: str, request: CountRequest) -> int:
        await self._turn()
        return len(self.points)

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        raise AssertionError("what is tested here has no business with this")

    async def collection_info(self, name: str) -> CollectionInfo:
        raise AssertionError("what is tested here has no business with this")

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)

    def _record(self, point_id: PointId) -> Record:
        kept = self.points[point_id]
        return Record(kept.id, kept.payload, kept.vectors)


class Till:
    """A ``BackfillStore``: rows by id, ``None`` for a tombstone, and one job.

    ``failures`` are raised by the next pages before they are written, ``lost_answers`` after.
    """

    def __init__(self) -> None:
        self.rows: dict[PointId, Point | None] = {}
        self.job: Job | None = None
        self.failures: list[VecferryError] = []
        self.lost_answers: list[VecferryError] = []
        self.pages = 0

    async def insert_page(
        self, job: Job, points: Sequence[Point], next_cursor: PointId | None
    ) -> Job:
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        stored = self.job
        if stored is None or (stored.attempt, stored.cursor) != (job.attempt, job.cursor):
            raise StaleEpoch
        missing = [p for p in points if p.id not in self.rows]
        self.rows.update({p.id: p for p in missing})
        self.job = job.advanced(scanned=len(points), copied=len(missing), next_cursor=next_cursor)
        self.pages += 1
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return self.job

    async def start(self, collection: str, *, total: int | None, restart: bool = False) -> Job:
        old = self.job
        if old is None or restart:
            attempt = 1 if old is None else old.attempt + 1
            self.job = Job(collection, 1, attempt, JobState.RUNNING, total=total)
        elif old.state is not JobState.DONE:
            self.job = Job(
                collection, 1, old.attempt + 1, JobState.RUNNING,
                old.cursor, old.copied, old.scanned, total,
            )  # fmt: skip
        assert self.job is not None
        return self.job

    async def get(self, collection: str) -> Job | None:
        return self.job

    async def finish(self, job: Job, *, error: str) -> Job:
        self.job = Job(
            job.collection, 1, job.attempt, JobState.FAILED,
            job.cursor, job.copied, job.scanned, job.total, error,
        )  # fmt: skip
        return self.job


def _id(value: object) -> PointId:
    assert isinstance(value, int | str)
    return value
