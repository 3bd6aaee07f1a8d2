"""Sampling of searches."""

from random import Random

import pytest

from shadow.sampling import Sampler


@pytest.mark.parametrize(
    ("rate", "least", "most"), [(0.0, 0, 0), (0.1, 70, 130), (1.0, 1000, 1000)]
)
def test_the_rate_is_met(rate: float, least: int, most: int) -> None:
    """About ``rate`` of the requests are taken; none at 0 and all at 1."""
    sampler = Sampler(rate, Random(7))
    assert least <= sum(sampler.take() for _ in range(1000)) <= most


def test_alternating_requests_are_both_sampled() -> None:
    """A regular pattern in the traffic does not hide half of it."""
    sampler = Sampler(0.5, Random(7))
    taken = [sampler.take() for _ in range(100)]
    assert sum(taken[::2]) > 10
    assert sum(taken[1::2]) > 10


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_is_a_share(rate: float) -> None:
    """A rate outside 0 … 1 is refused."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Sampler(rate, Random(7))
