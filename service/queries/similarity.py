"""How alike vectors are, as Qdrant compares them inside: larger is better for every distance.

Cosine and dot are inner products, Euclid is the negated squared distance, Manhattan the negated distance.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never

import numpy as np

from service.model.points import FloatArray, SparseVector, VectorValue
from service.model.qdrant import Distance

_EPSILON = np.finfo(np.float32).eps
_UNIT = np.float32(1e-6)

Similarity: TypeAlias = Callable[[int], FloatArray]


def normalised(value: FloatArray) -> FloatArray:
    """Divide by the length, unless it is (nearly) zero or one; the limits are Qdrant's, on the squared length."""
    # An infinite length makes all zeros: so it is in Qdrant.
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.dot(value, value)
        if square < _EPSILON or abs(square - np.float32(1)) <= _UNIT:
            return value
        unit: FloatArray = value / np.sqrt(square)
    return unit


def as_query(value: VectorValue, distance: Distance) -> VectorValue:
    """Return what a stored vector is compared with: for cosine each row at length 1."""
    if isinstance(value, SparseVector) or distance is not Distance.COSINE:
        return value
    if value.ndim == 1:
        return normalised(value)
    return np.stack([normalised(row) for row in value])


def similarity(query: VectorValue, stored: VectorValue, distance: Distance) -> np.float32:
    """Compare a query, as :func:`as_query` returns it, with a stored vector of the same kind.

    Multivectors: the sum over the query's rows of the best stored row (MaxSim). Sparse vectors: the inner product over
    shared indices, whatever the distance.
    """
    if isinstance(query, SparseVector) or isinstance(stored, SparseVector):
        return _shared(query, stored)
    if query.ndim == 1:
        return np.float32(_rows(query[None, :], stored, distance)[0])
    best = np.stack([_rows(stored, row, distance) for row in query])
    return np.float32(best.max(axis=1).sum(dtype=np.float32))


def _shared(query: VectorValue, stored: VectorValue) -> np.float32:
    if not (isinstance(query, SparseVector) and isinstance(stored, SparseVector)):
        return np.float32(0)
    _, ours, theirs = np.intersect1d(
        query.indices, stored.indices, assume_unique=True, return_indices=True
    )
    return np.float32(np.dot(query.values[ours], stored.values[theirs]))


def similarities(
    queries: Sequence[VectorValue], distance: Distance, stored: VectorValue
) -> FloatArray:
    """Compare every query with one stored vector; the result has the shape ``(len(queries),)``."""
    first = queries[0]
    if isinstance(first, np.ndarray) and first.ndim == 1 and isinstance(stored, np.ndarray):
        return _rows(np.stack([np.asarray(query) for query in queries]), stored, distance)
    return np.asarray([similarity(query, stored, distance) for query in queries], dtype=np.float32)


def _rows(rows: FloatArray, vector: FloatArray, distance: Distance) -> FloatArray:
    """Compare each row of a matrix with one vector."""
    match distance:
        case Distance.COSINE | Distance.DOT:
            result = rows @ vector
        case Distance.EUCLID:
            apart = rows - vector
            result = -np.einsum("ij,ij->i", apart, apart)
        case Distance.MANHATTAN:
            result = -np.abs(rows - vector).sum(axis=1)
        case _:
            assert_never(distance)
    compared: FloatArray = result.astype(np.float32, copy=False)
    return compared
