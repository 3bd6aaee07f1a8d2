"""Reading a range of a collection page by page, in id order."""

import time
from dataclasses import dataclass

from backfill.key_range import KeyRange
from backfill.page_size import PageWeight, weight
from service.errors import StoreError
from service.model.ids import decode_key, encode_key
from service.model.points import Point, Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader


@dataclass(frozen=True, slots=True)
class PointPage:
    """Whole points in id order; ``next_key`` begins the next page, ``None`` on the range's last one."""

    points: list[Point]
    next_key: bytes | None
    weight: PageWeight
    seconds: float
    """What reading it took."""


async def read_page(
    source: PointReader, collection: str, within: KeyRange, start: bytes | None, size: int
) -> PointPage:
    """Return up to ``size`` points of the range with keys from ``start`` on, payload and vectors included.

    Raises ``StoreError`` when the source does not go on behind ``start``: it would be read for ever.
    """
    began = time.perf_counter()
    offset = None if start is None else decode_key(start)
    request = ScrollRequest(offset=offset, limit=size, with_payload=True, with_vector=True)
    page = await source.scroll(collection, request)
    next_key = None if page.next_id is None else encode_key(page.next_id)
    if next_key is not None and next_key <= (start or b""):
        message = (
            f"a page of `{collection}` from the id {offset} on is followed by the id {page.next_id}"
        )
        raise StoreError(message)
    points = [point_of(record) for record in page.records]
    if next_key is None or next_key not in within:
        # The source knows no end of a range: what lies behind it is another worker's.
        points = [point for point in points if encode_key(point.id) in within]
        next_key = None
    return PointPage(points, next_key, weight(points), time.perf_counter() - began)


def point_of(record: Record) -> Point:
    """Return what was read with payload and vectors as a whole point."""
    return Point(record.id, record.vectors or {}, record.payload or {})
