"""Two stores side by side, and the ranges that they are read in."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from itertools import count, cycle, repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.comparison import Rows
from backfill.enumeration import Part, cut, parts, side_by_side, successor, uncovered
from backfill.key_range import KeyRange
from service.errors import SourceUnavailable, StoreError
from service.model.ids import MAX_INTEGER_ID, PointId, decode_key, encode_key
from service.model.points import Page, Record
from service.model.qdrant import ScrollRequest
from tests.backfill.fakes import Shelf, point

FIRST_UUID, LAST_UUID = (
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
)
EDGES: st.SearchStrategy[PointId] = st.sampled_from(
    [0, 1, 2**63, MAX_INTEGER_ID - 1, MAX_INTEGER_ID, FIRST_UUID, LAST_UUID]
)
ANY_ID: st.SearchStrategy[PointId] = (
    st.integers(0, 12) | EDGES | st.integers(0, MAX_INTEGER_ID) | st.uuids().map(str)
)
IDS = st.sets(ANY_ID, max_size=12)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3)


async def enumerated(
    ours: Shelf, theirs: Shelf, part: KeyRange, sizes: Iterator[int], most: int | None = None
) -> tuple[list[Rows], bytes | None]:
    """Return the rows of a range, or the first ``most`` of their pages, and where the rest begins."""
    found: list[Rows] = []
    async with side_by_side(ours, theirs, "c", part, lambda: next(sizes)) as pair:
        while True:
            await pair.fill()
            rows, cursor = pair.take()
            found.append(rows)
            if cursor is None or len(found) == most:
                return found, cursor


async def read(shelf: Shelf, size: int) -> list[Part]:
    """Return all pages of a store."""
    return [part async for part in parts(shelf, "c", KeyRange(), repeat(size))]


@given(IDS, IDS, SIZES, st.none() | ANY_ID, st.none() | ANY_ID)
async def test_every_id_of_either_store_comes_once_in_order(
    ours: set[PointId],
    theirs: set[PointId],
    sizes: list[int],
    low: PointId | None,
    high: PointId | None,
) -> None:
    """Whatever ids the stores hold and however pages fall, and also when it is begun anew after each page."""
    part = KeyRange(*(None if each is None else encode_key(each) for each in (low, high)))
    source, target = Shelf(map(point, ours)), Shelf(map(point, theirs))
    wanted = sorted(key for key in map(encode_key, ours | theirs) if key in part)
    for most in (None, 1):
        begin, cursor, seen = part.first, None, list[bytes]()
        while True:
            rest = KeyRange(begin, part.until)
            found, cursor = await enumerated(source, target, rest, cycle(sizes), most)
            for rows in found:
                for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True):
                    assert (one is not None) == (decode_key(key) in ours)
                    assert (other is not None) == (decode_key(key) in theirs)
                seen += rows.keys
            if cursor is None:
                break
            begin = cursor
        assert seen == wanted


@given(ANY_ID, ANY_ID)
def test_the_successor_is_the_next_possible_id(one: PointId, other: PointId) -> None:
    """Nothing lies between, and what it is can be asked for."""
    key, following = encode_key(one), successor(encode_key(one))
    if following is None:
        assert one == LAST_UUID
        return
    assert encode_key(decode_key(following)) == following
    assert key < following
    assert not key < encode_key(other) < following


def test_uuids_follow_the_highest_integer() -> None:
    """The number after it is no id that a store could be asked for."""
    assert successor(encode_key(MAX_INTEGER_ID)) == encode_key(FIRST_UUID)
    assert successor(encode_key(LAST_UUID)) is None


@given(st.lists(ANY_ID, max_size=30), st.integers(1, 9), ANY_ID)
def test_every_id_is_in_exactly_one_range(sample: list[PointId], count: int, some: PointId) -> None:
    """Whatever was sampled; and the ranges are said to cover all."""
    ranges = cut(sample, count)
    assert 1 <= len(ranges) <= count
    assert sum(encode_key(some) in each for each in ranges) == 1
    assert uncovered(ranges) == []


def test_ranges_are_about_equally_large() -> None:
    """A sample is cut into parts that differ by one at most."""
    ranges = cut(list(range(0, 3000, 10)), 6)
    sizes = [sum(encode_key(i) in each for i in range(0, 3000, 10)) for each in ranges]
    assert len(sizes) == 6
    assert max(sizes) - min(sizes) <= 2


A, B, C = encode_key(1), encode_key(5), encode_key(9)


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], "no ranges"),
        ([KeyRange(A, None)], "lowest"),
        ([KeyRange(None, A)], "highest"),
        ([KeyRange(None, A), KeyRange(B, None)], "range 1 does not begin where range 0 ends"),
        ([KeyRange(None, B), KeyRange(A, None)], "range 1 does not begin where range 0 ends"),
        ([KeyRange(None, B), KeyRange(B, A), KeyRange(A, None)], "range 1 is empty or backwards"),
        ([KeyRange(None, None), KeyRange(None, None)], "range 1 does not begin"),
    ],
)
def test_ranges_that_do_not_chain_are_named(ranges: list[KeyRange], expected: str) -> None:
    """A gap, an overlap or a missing end."""
    assert any(expected in fault for fault in uncovered(ranges))


class Misled(Shelf):
    """A store whose pages name no next one, or are in the wrong order."""

    order = 1

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        page = await super().scroll(collection, request)
        return Page(list(page.records)[:: self.order], None)


async def test_a_page_that_names_no_next_one_is_not_the_last() -> None:
    """Only a page that is shorter than it was asked for ends a store."""
    found = await read(Misled(point(i) for i in range(7)), 3)
    assert [len(part.keys) for part in found] == [3, 3, 1]
    assert [part.is_last for part in found] == [False, False, True]


async def test_ids_out_of_order_end_the_job() -> None:
    """Merging would call points missing that come later."""
    shelf = Misled(point(i) for i in range(7))
    shelf.order = -1
    with pytest.raises(StoreError, match="not in ascending order"):
        await read(shelf, 3)


async def test_an_empty_page_with_a_next_one_ends_the_job() -> None:
    """What lies behind it would be left out without a word."""

    class Hollow(Shelf):
        async def scroll(self, collection: str, request: ScrollRequest) -> Page:
            return Page([], 3)

    with pytest.raises(StoreError, match="no point and a next one"):
        await read(Hollow(point(i) for i in range(7)), 3)


async def test_an_error_comes_behind_the_rows_before_it() -> None:
    """What was read before a store was lost is compared; and the error is raised by itself."""

    class Lost(Shelf):
        async def scroll(self, collection: str, request: ScrollRequest) -> Page:
            if self.scrolls == 3:
                raise SourceUnavailable("gone")
            return await super().scroll(collection, request)

    seen: list[bytes] = []

    async def take_all() -> None:
        source, target = (kind(point(i) for i in range(9)) for kind in (Lost, Shelf))
        async with side_by_side(source, target, "c", KeyRange(), lambda: 2) as pair:
            for _ in range(5):
                await pair.fill()
                seen.extend(pair.take()[0].keys)

    with pytest.raises(SourceUnavailable, match="gone"):
        await take_all()
    assert seen == [encode_key(i) for i in range(6)]


class Slow(Shelf):
    """A store whose pages come undecoded: taking one apart takes until it is asked for the next one."""

    def __init__(self, number: int) -> None:
        super().__init__(point(i) for i in range(number))
        self.asked = threading.Semaphore(0)

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        self.asked.release()
        page = await super().scroll(collection, request)
        return Page(Undecoded(page.records, self.asked), page.next_id)


class Undecoded(Sequence[Record]):
    """Records whose iteration waits for the next request."""

    def __init__(self, records: Sequence[Record], asked: threading.Semaphore) -> None:
        self.records = records
        self.asked = asked

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, at: Any) -> Any:
        return self.records[at]

    def __iter__(self) -> Iterator[Record]:
        # The first permit is the request for this page, the second one that for the next.
        for _ in range(2 if len(self) == 2 else 1):
            assert self.asked.acquire(timeout=5), "was not asked for the next page meanwhile"
        self.asked.release()
        return iter(self.records)


async def test_a_store_is_asked_for_its_next_page_before_one_is_decoded() -> None:
    """It works meanwhile; otherwise reading and decoding would take turns."""
    found = await read(Slow(5), 2)
    assert [len(part.keys) for part in found] == [2, 2, 1]


async def test_how_far_a_store_is_read_ahead() -> None:
    """Memory holds a few pages, however slowly they are taken."""
    source, target = (Shelf(point(i) for i in range(100)) for _ in range(2))
    async with side_by_side(source, target, "c", KeyRange(), lambda: 2) as pair:
        await pair.fill()
        for _ in range(200):
            await asyncio.sleep(0.001)
        assert source.scrolls == target.scrolls == 4


async def test_pages_of_equal_stores_are_cut_at_the_same_ids() -> None:
    """Also when the size changes while one store is further ahead: else each page would be compared in two pieces."""
    source, target = (Shelf(point(i) for i in range(60)) for _ in range(2))
    found, _ = await enumerated(source, target, KeyRange(), count(2))
    assert [len(rows.keys) for rows in found] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 6]
