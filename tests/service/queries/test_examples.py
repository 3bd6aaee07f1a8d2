"""The vector that recommend searches with by default."""

import numpy as np
import pytest

from service.errors import WrongInput
from service.model.points import FloatArray, SparseVector, VectorValue
from service.queries.examples import average_vector


def _dense(*values: float) -> FloatArray:
    return np.asarray(values, dtype=np.float32)


def _values(vector: VectorValue) -> object:
    assert isinstance(vector, np.ndarray)
    return vector.tolist()


def _sparse(**values: float) -> SparseVector:
    indices = np.asarray([int(name[1:]) for name in values], dtype=np.uint32)
    return SparseVector(indices, np.asarray(list(values.values()), dtype=np.float32))


def test_dense_examples_are_averaged() -> None:
    """Without negatives the average, with negatives the way beyond it."""
    positives = [_dense(1, 2), _dense(3, 4)]
    assert _values(average_vector(positives, [])) == [2, 3]
    assert _values(average_vector(positives, [_dense(1, 1), _dense(3, 1)])) == [2, 5]


def test_sparse_examples_are_averaged_index_by_index() -> None:
    """An index that one of them lacks is zero there; the result is sorted by index."""
    average = average_vector([_sparse(i7=2, i9=4), _sparse(i3=6, i9=2)], [_sparse(i1=1, i3=1)])
    assert isinstance(average, SparseVector)
    assert average.indices.tolist() == [1, 3, 7, 9]
    assert average.values.tolist() == [-1, 5, 2, 6]
    assert average.indices.dtype == np.uint32
    assert average.values.dtype == np.float32


def test_multivectors_are_put_one_after_the_other() -> None:
    """Negative ones are negated, nothing is averaged."""
    rows = np.asarray([[1, 2], [3, 4]], dtype=np.float32)
    average = average_vector([rows, rows[:1]], [rows[1:]])
    assert _values(average) == [[1, 2], [3, 4], [1, 2], [-3, -4]]


@pytest.mark.parametrize(
    ("positives", "negatives", "reason"),
    [
        ([], [_dense(1)], "Positive vectors should not be empty with `average` strategy"),
        ([_dense(1), _sparse(i1=1)], [], "Can't average vectors with different types"),
        ([_dense(1), np.ones((1, 1), np.float32)], [], "Can't average vectors with different"),
        ([_dense(1)], [_sparse(i1=1)], "Positive and negative vectors should be of the same type"),
        ([_dense(1)], [np.ones((1, 1), np.float32)], "Positive and negative vectors should be"),
        ([_dense(1)], [_dense(1, 2)], "positive has dim 1, negative has dim 2"),
        ([np.ones((1, 2), np.float32)], [np.ones((1, 3), np.float32)], "expected dim: 2, got 3"),
    ],
)
def test_examples_that_do_not_fit_together_are_refused(
    positives: list[FloatArray], negatives: list[FloatArray], reason: str
) -> None:
    """They have no average."""
    with pytest.raises(WrongInput, match=reason):
        average_vector(positives, negatives)
