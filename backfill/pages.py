"""Reading a range of a collection page by page, in id order, ahead of whoever takes the pages.

The next page is asked for before the one that came is decoded: the source works meanwhile. Decoding happens in a
thread, because it takes longer than a client's request and the event loop may have clients.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from backfill.key_range import KeyRange
from backfill.page_size import PageWeight, weight
from backfill.together import together
from service.errors import StoreError, VecferryError
from service.model.ids import decode_key, encode_key
from service.model.points import Page, Point, Record
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


@dataclass(frozen=True, slots=True)
class _Answer:
    """A page as it came. ``next_key`` is ``None`` behind the range's end."""

    page: Page
    next_key: bytes | None
    is_cut: bool
    """Whether it may hold points behind the range's end."""
    seconds: float


async def pages(
    source: PointReader,
    collection: str,
    within: KeyRange,
    start: bytes | None,
    size: Callable[[], int],
) -> AsyncGenerator[PointPage, None]:
    """Yield the range's points with keys from ``start`` on, payload and vectors included, ``size()`` a page.

    An error of the source is raised behind the pages that came before it. Raises ``StoreError`` when the source does
    not go on behind a page: it would be read for ever.
    """
    answer: _Answer | VecferryError
    answer = await _asked(source, collection, within, start, size())
    while isinstance(answer, _Answer):
        decoding = asyncio.to_thread(_decoded, answer, within)
        if answer.next_key is None:
            yield await decoding
            return
        asking = _asked(source, collection, within, answer.next_key, size())
        page, answer = await together(decoding, asking)
        yield page
    raise answer


async def _asked(
    source: PointReader, collection: str, within: KeyRange, start: bytes | None, size: int
) -> _Answer | VecferryError:
    began = time.perf_counter()
    offset = None if start is None else decode_key(start)
    request = ScrollRequest(offset=offset, limit=size, with_payload=True, with_vector=True)
    try:
        page = await source.scroll(collection, request)
    except VecferryError as error:
        return error
    next_key = None if page.next_id is None else encode_key(page.next_id)
    if next_key is not None and next_key <= (start or b""):
        message = (
            f"a page of `{collection}` from the id {offset} on is followed by the id {page.next_id}"
        )
        return StoreError(message)
    # The source knows no end of a range: what lies behind it is another worker's.
    is_cut = next_key is None or next_key not in within
    return _Answer(page, None if is_cut else next_key, is_cut, time.perf_counter() - began)


def _decoded(answer: _Answer, within: KeyRange) -> PointPage:
    points = [point_of(record) for record in answer.page.records]
    if answer.is_cut:
        points = [point for point in points if encode_key(point.id) in within]
    return PointPage(points, answer.next_key, weight(points), answer.seconds)


def point_of(record: Record) -> Point:
    """Return what was read with payload and vectors as a whole point."""
    return Point(record.id, record.vectors or {}, record.payload or {})
