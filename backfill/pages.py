"""Reading a collection page by page, in id order."""

from dataclasses import dataclass

from backfill.retry import Retry
from service.model.ids import PointId
from service.model.points import Page, Point, Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader


@dataclass(frozen=True, slots=True)
class PointPage:
    """Whole points in id order; ``next_id`` begins the next page, ``None`` on the last."""

    points: list[Point]
    next_id: PointId | None


async def read_page(
    source: PointReader, collection: str, start: PointId | None, size: int, retry: Retry
) -> PointPage:
    """Return up to ``size`` points with ids from ``start`` on, payload and vectors included."""
    request = ScrollRequest(offset=start, limit=size, with_payload=True, with_vector=True)

    async def scroll() -> Page:
        return await source.scroll(collection, request)

    page = await retry.call(scroll)
    return PointPage([_point(record) for record in page.records], page.next_id)


def _point(record: Record) -> Point:
    return Point(record.id, record.vectors or {}, record.payload or {})
