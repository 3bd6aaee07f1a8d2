"""Reading ahead: what is asked for when, what comes out, and what an error leaves behind."""

import asyncio

import pytest

from backfill.ahead import ahead_of
from backfill.key_range import KeyRange
from backfill.pages import PointPage, pages
from service.errors import SourceUnavailable, StoreError
from service.model.ids import encode_key
from service.model.points import Page
from service.model.qdrant import ScrollRequest
from tests.backfill.fakes import Shelf, point


class Watched(Shelf):
    """A shelf that says when it is asked, and may lose its way."""

    def __init__(self, count: int) -> None:
        super().__init__(point(number) for number in range(count))
        self.asked = asyncio.Event()
        self.is_stuck = False

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        self.asked.set()
        page = await super().scroll(collection, request)
        return Page(page.records, 0) if self.is_stuck else page


def _ids(found: list[PointPage]) -> list[int]:
    return [int(point.id) for page in found for point in page.points]


async def _read(shelf: Shelf, within: KeyRange, size: int) -> list[PointPage]:
    return [page async for page in pages(shelf, "c", within, within.first, lambda: size)]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 10, 99])
async def test_a_range_is_read_to_its_end_and_no_further(size: int) -> None:
    """Pages come in order, each says where the next one begins, and none holds another range's points."""
    shelf = Shelf(point(number) for number in range(20))
    found = await _read(shelf, KeyRange(encode_key(4), encode_key(14)), size)
    assert _ids(found) == list(range(4, 14))
    assert found[-1].next_key is None
    assert [page.next_key for page in found[:-1]] == [
        encode_key(page.points[0].id) for page in found[1:]
    ]


async def test_an_error_comes_behind_the_pages_before_it() -> None:
    """What was read before the source was lost is handed out: a flaky source does not keep a copy where it is."""
    shelf = Watched(6)
    found = []

    async def read() -> None:
        async for page in pages(shelf, "c", KeyRange(), None, lambda: 2):
            found.append(page)
            if not shelf.failures:
                shelf.failures = [SourceUnavailable("gone")]

    with pytest.raises(SourceUnavailable, match="gone"):
        await read()
    # The second page was on its way already when the first one was handed out.
    assert _ids(found) == [0, 1, 2, 3]


async def test_a_source_that_goes_back_is_not_read_for_ever() -> None:
    """A page that leads back is an error."""
    shelf = Watched(6)
    shelf.is_stuck = True
    with pytest.raises(StoreError, match="is followed by the id 0"):
        await _read(shelf, KeyRange(encode_key(1), None), 2)


async def test_the_source_works_while_a_page_is_dealt_with() -> None:
    """Another page is asked for although nobody has come for it."""
    shelf = Watched(10)
    async with ahead_of(pages(shelf, "c", KeyRange(), None, lambda: 2), 1) as ahead:
        assert await ahead.take() is not None
        shelf.asked.clear()
        await asyncio.wait_for(shelf.asked.wait(), 5)


async def test_no_more_is_read_than_may_be_held() -> None:
    """A target that stands still does not fill the memory."""
    shelf = Watched(1_000)
    async with ahead_of(pages(shelf, "c", KeyRange(), None, lambda: 2), 1) as ahead:
        await ahead.take()
        await asyncio.sleep(0.3)
        # The one that was taken, one ready, one that waits to be, one as it came.
        assert shelf.scrolls == 4


async def test_a_fault_in_the_block_comes_out_as_it_is_and_ends_the_reading() -> None:
    """No group of exceptions, and nobody reads on."""
    shelf = Watched(1_000)

    async def read() -> None:
        async with ahead_of(pages(shelf, "c", KeyRange(), None, lambda: 2), 1) as ahead:
            await ahead.take()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read()
    seen = shelf.scrolls
    await asyncio.sleep(0.05)
    assert shelf.scrolls == seen
