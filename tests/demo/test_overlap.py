"""Tests of the overlap."""

import pytest

from tests.demo.overlap import overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, 1.0),
        ({1: 0.9, 2: 0.8}, {2: 0.8, 1: 0.9}, 1.0),
        ({1: 0.9, 2: 0.8}, {1: 0.9, 3: 0.7}, 0.5),
        ({1: 0.9}, {}, 0.0),
        ({1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6}, {1: 0.9}, 0.25),
    ],
)
def test_overlap_is_the_share_of_the_longer_list(
    one: dict[object, float], other: dict[object, float], expected: float
) -> None:
    """Order does not matter, what is missing on either side does."""
    assert overlap(one, other) == overlap(other, one) == expected


def test_equals_at_the_cut_count_as_shared() -> None:
    """Which of several equal scores makes the last place is no difference, elsewhere it is."""
    assert overlap({1: 0.9, 2: 0.8}, {1: 0.9, 3: 0.8000001}) == 1.0
    assert overlap({2: 0.9, 1: 0.8}, {3: 0.9, 1: 0.8}) == 0.5
