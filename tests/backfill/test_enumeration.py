"""Two stores side by side, and the ranges that they are read in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.enumeration import Column, Pair, cut, successor, uncovered
from backfill.key_range import KeyRange
from service.errors import StoreError
from service.model.ids import MAX_INTEGER_ID, PointId, decode_key, encode_key
from service.model.points import Page
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


def pair_of(ours: Shelf, theirs: Shelf, part: KeyRange) -> Pair:
    """Return both stores' columns."""
    return Pair(Column(ours, "c", part), Column(theirs, "c", part))


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
    for is_resumed in (False, True):
        pair, seen, turn = pair_of(source, target, part), list[bytes](), 0
        while True:
            await pair.fill(sizes[turn % len(sizes)])
            rows, cursor = pair.take()
            for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True):
                assert (one is not None) == (decode_key(key) in ours)
                assert (other is not None) == (decode_key(key) in theirs)
            seen += rows.keys
            turn += 1
            if cursor is None:
                break
            if is_resumed:
                pair = pair_of(source, target, KeyRange(cursor, part.until))
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
    column = Column(Misled(point(i) for i in range(7)), "c", KeyRange())
    seen = 0
    while True:
        await column.fill(3)
        if column.is_read:
            break
        seen += len(column.take(None)[0])
    assert seen + len(column.take(None)[0]) == 7


async def test_ids_out_of_order_end_the_job() -> None:
    """Merging would call points missing that come later."""
    shelf = Misled(point(i) for i in range(7))
    shelf.order = -1
    with pytest.raises(StoreError, match="not in ascending order"):
        await Column(shelf, "c", KeyRange()).fill(3)


async def test_an_empty_page_with_a_next_one_ends_the_job() -> None:
    """What lies behind it would be left out without a word."""

    class Hollow(Shelf):
        async def scroll(self, collection: str, request: ScrollRequest) -> Page:
            return Page([], 3)

    with pytest.raises(StoreError, match="no point and a next one"):
        await Column(Hollow(point(i) for i in range(7)), "c", KeyRange()).fill(3)
