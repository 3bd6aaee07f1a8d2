"""How large pages are, and what is kept between them."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.comparison import Compared
from backfill.digest import Digest
from backfill.jobs import Options, Orders
from backfill.verify import Effort, Findings, next_size

NUMBERS = st.integers(0, 2**40)
DIGESTS = st.builds(Digest, st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
FINDINGS = st.builds(Findings, *[NUMBERS] * 5, DIGESTS, DIGESTS)


def page_of(points: int, weight: int) -> Compared:
    """Return what a page of equal points came to."""
    return Compared(points, points, points, (), Digest(), Digest(), weight)


@pytest.mark.parametrize(
    ("options", "workers", "points", "weight", "expected"),
    [
        (Options(), 1, 100, 100_000, 1_000),
        (Options(), 1, 10, 4_000_000, 10),
        (Options(), 1, 10, 400_000_000, 1),
        (Options(), 1, 10, 0, 1_000),
        (Options(page_bytes=1_000_000), 1, 100, 1_000_000, 100),
        (Options(points_per_second=10.0), 1, 100, 100_000, 50),
        (Options(points_per_second=10.0), 5, 100, 100_000, 10),
        (Options(points_per_second=0.01), 1, 100, 100_000, 1),
    ],
)
def test_pages_follow_the_weight_of_points_and_the_operator(
    options: Options, workers: int, points: int, weight: int, expected: int
) -> None:
    """They aim at bytes, have a largest number of points, and are short under a limit."""
    effort = Effort(most_points=1_000, page_bytes=4_000_000)
    assert next_size(effort, Orders(options, workers), page_of(points, weight), 1_000) == expected


def test_pages_grow_step_by_step() -> None:
    """However little the points of a page weigh, those behind it may weigh more."""
    assert next_size(Effort(), Orders(Options()), page_of(10, 0), 32) == 64


@given(FINDINGS)
def test_findings_survive_the_database(findings: Findings) -> None:
    """What is stored with a page is what the next one goes on from."""
    stored = orjson.loads(orjson.dumps(findings.to_json()))
    assert Findings.from_json(stored) == findings


def test_before_the_first_page_there_is_nothing() -> None:
    """A range begins with an empty state."""
    assert Findings.from_json({}) == Findings()
