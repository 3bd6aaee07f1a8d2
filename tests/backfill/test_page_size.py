"""How many points a page asks for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.jobs import Options, Orders
from backfill.page_size import PageLimits, PageWeight, page_size, weight
from service.model.points import Point, SparseVector

MEGABYTE = 1024 * 1024
LIMITS = PageLimits(points=1_000, bytes=2 * MEGABYTE)
PLAIN = Orders(Options())


@pytest.mark.parametrize(
    ("orders", "last", "size"),
    [
        (PLAIN, None, 32),
        (PLAIN, PageWeight(0, 0), 32),
        (PLAIN, PageWeight(32, 32 * 100), 256),
        (PLAIN, PageWeight(256, 256 * 100), 1_000),
        (PLAIN, PageWeight(1_000, 1_000 * 8_192), 256),
        (PLAIN, PageWeight(32, 32 * 65_536), 32),
        (PLAIN, PageWeight(1, 50 * MEGABYTE), 1),
        (Orders(Options(page_bytes=MEGABYTE)), PageWeight(32, 32 * 65_536), 16),
        (Orders(Options(points_per_second=100.0), workers=4), PageWeight(500, 500), 125),
        (Orders(Options(points_per_second=0.01)), PageWeight(500, 500), 1),
        (Orders(Options(points_per_second=2.0)), None, 10),
    ],
)
def test_pages_follow_the_weight(orders: Orders, last: PageWeight | None, size: int) -> None:
    """A small first page, then as many points as fit, never more than is allowed."""
    assert page_size(LIMITS, orders, last) == size


@given(
    points=st.integers(0, 5_000),
    each=st.integers(0, 10 * MEGABYTE),
    most=st.integers(1, 5_000),
    page_bytes=st.integers(1, 100 * MEGABYTE),
)
def test_a_page_of_equal_points_never_weighs_more(
    points: int, each: int, most: int, page_bytes: int
) -> None:
    """Within the bytes, if that leaves one point; within the points always."""
    last = PageWeight(points, points * each)
    size = page_size(PageLimits(most, page_bytes), PLAIN, last)
    assert 1 <= size <= most
    if points and each:
        assert size == 1 or size * each <= page_bytes


def test_weight() -> None:
    """Vectors as they are held, payloads as JSON."""
    sparse = SparseVector(np.arange(3, dtype=np.uint32), np.ones(3, np.float32))
    points = [Point(1, {"": np.ones(10, np.float32), "s": sparse}, {"a": 1}), Point(2, {}, {})]
    assert weight(points) == PageWeight(2, 40 + 24 + len('{"a":1}') + len("{}"))
