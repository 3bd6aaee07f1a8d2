"""Many dense vectors at once in the form that Postgres takes: rows of one array instead of objects one by one.

The result is that of :func:`service.stores.postgres.vectors.stored` for vectors that were copied from another store.
"""

from collections.abc import Sequence

import numpy as np
from pgvector import HalfVector, Vector

from service.model.points import FloatArray, VectorValue
from service.model.qdrant import Datatype, Distance
from service.queries.similarity import normalised
from service.stores.configuration import VectorKind
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import Row, as_bytes, as_half

_SURELY_UNIT = 0.9e-6
"""As :func:`normalised` has it (1e-6), less what the order of additions can change."""


class _ReadyVector(Vector):
    """A ``vector`` in its binary form already."""

    def __init__(self, binary: memoryview) -> None:
        self._binary = binary

    def to_binary(self) -> memoryview:  # type: ignore[override]  # the driver takes any buffer
        """Return the form that is sent."""
        return self._binary


class _ReadyHalfVector(HalfVector):
    """A ``halfvec`` in its binary form already."""

    def __init__(self, binary: memoryview) -> None:
        self._binary = binary

    def to_binary(self) -> memoryview:  # type: ignore[override]  # the driver takes any buffer
        """Return the form that is sent."""
        return self._binary


def dense_rows(table: VectorTable, vectors: Sequence[VectorValue]) -> list[Row] | None:
    """Return copied vectors as they are stored, ``None`` when one does not fit or the table holds another kind."""
    if table.kind is not VectorKind.DENSE or not vectors:
        return None
    shape = (table.size,)
    dense = [each for each in vectors if isinstance(each, np.ndarray) and each.shape == shape]
    if len(dense) != len(vectors):
        return None
    given = np.stack(dense).astype(np.float32, copy=False)
    match table.spec.datatype:
        case Datatype.UINT8:
            return _binary(as_bytes(given), _ReadyHalfVector)
        case Datatype.FLOAT16:
            return _binary(as_half(given), _ReadyHalfVector)
        case _:
            if table.distance is Distance.COSINE:
                given = _normalised(given)
            return _binary(given, _ReadyVector)


def _normalised(rows: FloatArray) -> FloatArray:
    """Return rows at length one; a store that keeps them so sends hardly any other."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        others = np.flatnonzero(~(np.abs(squares - 1) <= _SURELY_UNIT))
    for at in others:
        rows[at] = normalised(rows[at])
    return rows


def _binary(rows: np.ndarray, ready: type[_ReadyVector] | type[_ReadyHalfVector]) -> list[Row]:
    """Return big-endian components behind two numbers of 16 bits: how many, and an unused one."""
    count, size = rows.shape
    component = rows.dtype.newbyteorder(">")
    packed = np.zeros(
        count, [("size", ">u2"), ("unused", ">u2"), ("components", component, (size,))]
    )
    packed["size"] = size
    packed["components"] = rows
    data = memoryview(packed.tobytes())
    length = packed.itemsize
    return [ready(data[at : at + length]) for at in range(0, count * length, length)]
