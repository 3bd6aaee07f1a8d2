"""Vectors in the form that Qdrant stores: normalisation at its limits, rounding to each datatype."""

import numpy as np
import pytest

from service.queries.similarity import normalised


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ([3.0, 4.0], True),
        ([0.0, 0.0], False),
        ([2e-4, 2e-4], False),
        ([3e-4, 3e-4], True),
        ([1.0000004, 0.0], False),
        ([1.000002, 0.0], True),
    ],
)
def test_lengths_near_zero_and_one_are_left_alone(given: list[float], changed: bool) -> None:
    """Squared length below 1.19e-7, or within 1e-6 of 1."""
    vector = np.asarray(given, dtype=np.float32)
    result = normalised(vector)
    assert result.dtype == np.float32
    assert (result.tolist() != vector.tolist()) is changed
    if changed:
        assert np.linalg.norm(result) == pytest.approx(1.0, rel=1e-6)


def test_normalising_twice_changes_nothing() -> None:
    """A vector read from Qdrant is stored as it came."""
    random = np.random.default_rng(1).standard_normal((200, 1536)).astype(np.float32)
    for vector in random:
        once = normalised(vector)
        assert np.array_equal(normalised(once), once)
