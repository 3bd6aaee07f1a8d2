"""Stores at port level: dictionaries that keep the contract, and break where a test says so."""

import asyncio
from collections.abc import Callable, Iterable

import numpy as np

from service.errors import VecferryError
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


def _id(value: object) -> PointId:
    assert isinstance(value, int | str)
    return value
