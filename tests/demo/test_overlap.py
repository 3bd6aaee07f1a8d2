"""Tests of the overlap."""

import pytest

from tests.demo.overlap import overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1, 2, 3, 4], [4, 3, 2, 1], 1.0),
        ([1, 2, 3, 4], [1, 2, 3, 9], 0.75),
        ([1, 2], [3, 4], 0.0),
        ([1, 2, 3, 4], [1, 2], 0.5),
        ([], [1], 0.0),
        ([], [], 1.0),
    ],
)
def test_overlap_is_the_share_of_the_longer_list(
    one: list[int], other: list[int], expected: float
) -> None:
    """Order does not count, and a short answer is not rewarded for being short."""
    assert overlap(one, other) == overlap(other, one) == expected
