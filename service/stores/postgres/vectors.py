"""Vectors on their way in: checked against the collection and brought into the form that Qdrant stores."""

from collections.abc import Mapping

import numpy as np
from pgvector import Vector

from service.errors import WrongInput
from service.model.points import FloatArray, Vectors, VectorValue
from service.model.qdrant import Distance
from service.stores.postgres.catalog import CollectionTables, VectorTable

_EPSILON = np.finfo(np.float32).eps
_UNIT = np.float32(1e-6)


def prepared(tables: CollectionTables, vectors: Vectors) -> Mapping[str, Vector]:
    """Return the vectors as they are stored, by name. Raises ``WrongInput`` for one that does not fit."""
    return {
        name: stored(
            vector_table(tables, name), value, whose=f" for vector '{name}'" if name else ""
        )
        for name, value in vectors.items()
    }


def vector_table(tables: CollectionTables, name: str) -> VectorTable:
    """Return the table of a named vector. Raises ``WrongInput`` when the collection has no such vector."""
    try:
        return tables.vectors[name]
    except KeyError:
        message = f"Not existing vector name error: {name}"
        raise WrongInput(message) from None


def stored(table: VectorTable, value: VectorValue, *, whose: str = "") -> Vector:
    """Return one vector as it is stored and searched for: float32, of length 1 for cosine.

    ``whose`` ends the text of a wrong dimension: Qdrant names the vector when it writes, not when it searches.
    """
    if not isinstance(value, np.ndarray):
        raise WrongInput("Conversion between sparse and regular vectors failed")
    if value.ndim != 1:
        raise WrongInput("Conversion between multi and regular vectors failed")
    if len(value) != table.size:
        message = f"Vector dimension error: expected dim: {table.size}, got {len(value)}{whose}"
        raise WrongInput(message)
    value = value.astype(np.float32, copy=False)
    return Vector(normalised(value) if table.distance is Distance.COSINE else value)


def normalised(value: FloatArray) -> FloatArray:
    """Divide by the length, unless it is (nearly) zero or one; the limits are Qdrant's, on the squared length."""
    with np.errstate(over="ignore"):  # infinite, then all zeros: so it is in Qdrant
        square = np.dot(value, value)
    if square < _EPSILON or abs(square - np.float32(1)) <= _UNIT:
        return value
    unit: FloatArray = value / np.sqrt(square)
    return unit
