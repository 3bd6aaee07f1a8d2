"""Splitting the id space."""

from collections.abc import Sequence
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.key_range import KeyRange, split
from backfill.splitting import range_count, ranges_of
from service.errors import SourceUnavailable, StoreAnswered, VecferryError
from service.model.ids import PointId, encode_key
from service.model.points import Hit
from service.model.qdrant import QueryRequest
from tests.backfill.fakes import Shelf, point

DENSE = st.integers(0, 200)
SPARSE = st.integers(0, 2**32).map(lambda number: number * 1_000)
WIDE = st.integers(2**63 - 50, 2**64 - 1)
TEXT = st.uuids().map(str) | st.integers(0, 50).map(lambda number: str(UUID(int=number)))
KINDS = [DENSE, SPARSE, WIDE, TEXT, DENSE | SPARSE | WIDE | TEXT]

ids = st.sampled_from(KINDS).flatmap(lambda kind: st.lists(kind, max_size=80))


@given(sample=ids, others=ids, count=st.integers(1, 40))
def test_every_key_is_in_exactly_one_range(
    sample: list[PointId], others: list[PointId], count: int
) -> None:
    """Whatever was sampled, and whichever ids there are besides."""
    ranges = split([encode_key(each) for each in sample], count)
    assert 1 <= len(ranges) <= count
    for each in [*sample, *others]:
        assert sum(encode_key(each) in within for within in ranges) == 1
    assert ranges[0].first is None
    assert ranges[-1].until is None
    for before, after in pairwise(ranges):
        assert before.until == after.first
        assert before.first is None or before.first < (before.until or b"")


@given(numbers=st.sets(st.integers(0, 2**64 - 1), min_size=400, max_size=400))
def test_ranges_are_about_equal(numbers: set[int]) -> None:
    """Cut by all the ids there are, no range has twice the points of another, sparse as they may be."""
    keys = [encode_key(each) for each in numbers]
    ranges = split(keys, 8)
    sizes = [sum(key in within for key in keys) for within in ranges]
    assert sum(sizes) == 400
    assert sizes == [50] * 8


@pytest.mark.parametrize(
    ("total", "count"), [(0, 1), (1, 1), (10_000, 1), (10_001, 2), (1_000_000, 100), (10**9, 512)]
)
def test_the_number_of_ranges_follows_the_total(total: int, count: int) -> None:
    """One per 10,000 points, and not too many to claim one by one."""
    assert range_count(total) == count


class Sampled(Shelf):
    """A source with samples, or without."""

    def __init__(self, ids: Sequence[PointId], error: VecferryError | None = None) -> None:
        super().__init__(point(each) for each in ids)
        self.error = error
        self.asked: list[QueryRequest] = []

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return [Hit(each, 0.0) for each in self.points]


async def test_a_sample_is_drawn_of_ids_alone() -> None:
    """Neither payload nor vectors travel; many draws per range, so that ranges are about equal."""
    source = Sampled(range(64))
    ranges = await ranges_of(source, "c", 20_001)
    assert len(ranges) == 3
    (request,) = source.asked
    assert (request.limit, request.with_payload, request.with_vector) == (96, False, False)


async def test_a_small_collection_is_not_sampled() -> None:
    """It is one range."""
    source = Sampled([])
    assert await ranges_of(source, "c", 1_000) == [KeyRange()]
    assert source.asked == []


async def test_an_empty_sample_makes_one_range() -> None:
    """The points went while they were counted."""
    assert await ranges_of(Sampled([]), "c", 10**6) == [KeyRange()]


async def test_without_samples_there_is_one_range() -> None:
    """Old servers know no such query; a source that is merely away is no such one."""
    old = Sampled([], StoreAnswered(400, b"unknown variant `sample`"))
    assert await ranges_of(old, "c", 10**6) == [KeyRange()]
    with pytest.raises(SourceUnavailable):
        await ranges_of(Sampled([], SourceUnavailable("is down")), "c", 10**6)
