"""The one vector that the ``average_vector`` strategy of recommend searches with.

Source: ``avg_vector_for_recommendation`` in Qdrant's lib/segment/src/vector_storage/query/reco_query.rs.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from service.errors import WrongInput
from service.model.points import FloatArray, SparseVector, VectorValue

_EMPTY = "Validation failed: Positive vectors should not be empty with `average` strategy"
_MIXED = "Validation failed: Can't average vectors with different types"
_UNLIKE = (
    "Validation failed: Positive and negative vectors should be of the same type, "
    "either all dense or all sparse or all multi"
)


def average_vector(
    positives: Sequence[VectorValue], negatives: Sequence[VectorValue]
) -> VectorValue:
    """Return avg(positives) without negatives, else 2 * avg(positives) - avg(negatives).

    Sparse vectors are averaged index by index. Multivectors are not averaged but put one after the other, the negative
    ones negated. Raises ``WrongInput`` without positives, and for vectors of several kinds or sizes.
    """
    positive = _average(positives)
    if not negatives:
        return positive
    negative = _average(negatives)
    if isinstance(positive, SparseVector) and isinstance(negative, SparseVector):
        return _combined(positive, negative, lambda a, b: a + a - b)
    if isinstance(positive, SparseVector) or isinstance(negative, SparseVector):
        raise WrongInput(_UNLIKE)
    if positive.ndim != negative.ndim:
        raise WrongInput(_UNLIKE)
    return _away(positive, negative)


def _average(vectors: Sequence[VectorValue]) -> VectorValue:
    sparse = [vector for vector in vectors if isinstance(vector, SparseVector)]
    arrays = [vector for vector in vectors if not isinstance(vector, SparseVector)]
    kinds = {vector.ndim for vector in arrays}
    if not vectors:
        raise WrongInput(_EMPTY)
    if len(kinds) + bool(sparse) > 1:
        raise WrongInput(_MIXED)
    count = np.float32(len(vectors))
    if sparse:
        total = reduce(lambda a, b: _combined(b, a, lambda new, old: new + old), sparse)
        return SparseVector(total.indices, total.values / count)
    return _rows(arrays) if kinds == {2} else _mean(arrays, count)


def _mean(vectors: Sequence[FloatArray], count: np.float32) -> FloatArray:
    total = np.zeros(max(len(vector) for vector in vectors), dtype=np.float32)
    for vector in vectors:
        total[: len(vector)] += vector
    return total / count


def _rows(vectors: Sequence[FloatArray]) -> FloatArray:
    expected = vectors[0].shape[1]
    for vector in vectors:
        if vector.shape[1] != expected:
            got = vector.shape[1]
            raise WrongInput(f"Vector dimension error: expected dim: {expected}, got {got}")
    return np.concatenate(vectors)


def _away(positive: FloatArray, negative: FloatArray) -> FloatArray:
    if positive.ndim > 1:
        return _rows([positive, -negative])
    if len(positive) != len(negative):
        raise WrongInput(
            "Validation failed: Positive and negative vectors must have the same dimension "
            f"for average-vector recommend: positive has dim {len(positive)}, "
            f"negative has dim {len(negative)}"
        )
    return positive + positive - negative


def _combined(
    left: SparseVector,
    right: SparseVector,
    combine: Callable[[FloatArray, FloatArray], FloatArray],
) -> SparseVector:
    indices = np.union1d(left.indices, right.indices)
    return SparseVector(indices, combine(_at(left, indices), _at(right, indices)))


def _at(vector: SparseVector, indices: np.typing.NDArray[np.uint32]) -> FloatArray:
    values = np.zeros(len(indices), dtype=np.float32)
    values[np.searchsorted(indices, vector.indices)] = vector.values
    return values
