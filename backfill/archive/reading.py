"""A collection page by page, in id order, in pages of about the same number of bytes."""

from dataclasses import dataclass

import numpy as np

from backfill.archive.layout import Layout
from backfill.retry import Retry
from service.model.ids import PointId
from service.model.points import Page, Point, SparseVector
from service.model.qdrant import ScrollRequest
from service.ports import PointReader

PAGE_BYTES = 4 << 20
"""About this much of vectors and payload in a page; as JSON it is up to three times as much."""

_MOST_POINTS = 2_000
_FIRST_POINTS = 64
"""How many rows a multivector has, and how large payloads are, is not known before the first page."""
_PAYLOAD_GUESS = 1_000


@dataclass(frozen=True, slots=True)
class PointPage:
    """Whole points in id order, their estimated size, and the id to go on from (``None``: there are no more)."""

    points: list[Point]
    bytes: int
    next_id: PointId | None


def first_size(layout: Layout) -> int:
    """Return how many points to ask for before anything is known of them."""
    vectors = sum(4 * (shape.size or 0) for shape in layout.values())
    return min(_FIRST_POINTS, fitting(1, vectors + _PAYLOAD_GUESS))


def fitting(points: int, size_bytes: int) -> int:
    """Return how many points make a page where ``points`` of them had ``size_bytes``."""
    each = max(1, size_bytes // max(1, points))
    return max(1, min(_MOST_POINTS, PAGE_BYTES // each))


async def read_page(
    reader: PointReader, collection: str, start: PointId | None, limit: int, retry: Retry
) -> PointPage:
    """Return up to ``limit`` points with ids from ``start`` on, payload and vectors included."""
    request = ScrollRequest(offset=start, limit=limit, with_payload=True, with_vector=True)

    async def scroll() -> Page:
        return await reader.scroll(collection, request)

    page = await retry.call(scroll)
    points = [Point(each.id, each.vectors or {}, each.payload or {}) for each in page.records]
    return PointPage(points, sum(map(size_of, points)), page.next_id)


def size_of(point: Point) -> int:
    """Return about how many bytes a point takes: its vectors exactly, its payload as it is printed."""
    vectors = sum(
        vector.indices.nbytes + vector.values.nbytes
        if isinstance(vector, SparseVector)
        else np.asarray(vector).nbytes
        for vector in point.vectors.values()
    )
    return vectors + len(repr(point.payload))
