"""Vectors on their way in and out: checked against the collection, in the form that Qdrant stores.

Components are rounded to the vector's datatype, cosine vectors divided by their length before; queries are treated the
same way. uint8 is cut towards zero into 0 … 255 and never normalised: there Qdrant divides by the lengths when it
compares.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, assert_never

import numpy as np
from pgvector import HalfVector, Vector

from service.errors import WrongInput
from service.model.points import FloatArray, SparseVector, Vectors, VectorValue
from service.model.qdrant import Datatype, Distance
from service.queries.similarity import normalised
from service.stores.configuration import VectorKind, unknown_vector
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.vector_tables import VectorTable
from service.stores.vector_checks import check_vector, named

Row: TypeAlias = Vector | HalfVector
"""A dense vector, or one of a multivector, as the driver takes it."""

StoredVector: TypeAlias = Row | tuple[Row, ...] | SparseVector
"""Dense, multi and sparse; a sparse one has its indices ascending."""

# The binary form of a one-dimensional array: dimensions, flags and type, then length and lower bound if there are any.
_EMPTY_ARRAY = 12
_ARRAY_HEAD = 20
_INDEX = np.dtype([("length", ">i4"), ("value", ">i8")])
_WEIGHT = np.dtype([("length", ">i4"), ("value", ">f4")])


def prepared(
    tables: CollectionTables, vectors: Vectors, *, copied: bool = False
) -> Mapping[str, StoredVector]:
    """Return the vectors as they are stored, by name. Raises ``WrongInput`` for one that does not fit.

    ``copied`` ones were read from a store, so they have its form already: a float16 vector is not normalised again,
    its rounding would change.
    """
    return {
        name: stored(
            vector_table(tables, name),
            value,
            whose=named(name),
            copied=copied,
        )
        for name, value in vectors.items()
    }


def vector_table(tables: CollectionTables, name: str) -> VectorTable:
    """Return the table of a named vector. Raises ``WrongInput`` when the collection has no such vector."""
    try:
        return tables.vectors[name]
    except KeyError:
        raise unknown_vector(name) from None


def stored(
    table: VectorTable, value: VectorValue, *, whose: str = "", copied: bool = False
) -> StoredVector:
    """Return one vector as it is stored and searched for. Raises ``WrongInput`` for one that does not fit.

    ``whose`` is that of :func:`check_vector`.
    """
    check_vector(table.spec, value, whose)
    if isinstance(value, SparseVector):
        return _sparse(value)
    convert = _conversion(table, copied=copied)
    if table.kind is VectorKind.DENSE:
        return convert(value)
    return tuple(convert(row) for row in np.atleast_2d(value))


def _conversion(table: VectorTable, *, copied: bool) -> Callable[[FloatArray], Row]:
    """Return what brings one vector of shape ``(size,)`` into its stored form."""
    is_cosine = table.distance is Distance.COSINE
    match table.spec.datatype:
        case Datatype.UINT8:
            return lambda value: HalfVector(as_bytes(value))
        case Datatype.FLOAT16:
            if is_cosine and not copied:
                return lambda value: HalfVector(as_half(normalised(_single(value))))
            return lambda value: HalfVector(as_half(value))
        case _:
            if is_cosine:
                return lambda value: Vector(normalised(_single(value)))
            return lambda value: Vector(_single(value))


def _single(value: FloatArray) -> FloatArray:
    return value.astype(np.float32, copy=False)


def as_half(value: FloatArray) -> Any:
    """Return components in 16 bits, of one vector or of rows."""
    with np.errstate(over="ignore"):  # infinite, which pgvector refuses
        return value.astype(np.float16)


def as_bytes(value: FloatArray) -> Any:
    """Return components cut to 0 … 255, of one vector or of rows, in the 16 bits that hold them."""
    return np.trunc(np.clip(np.nan_to_num(value, nan=0.0), 0, 255)).astype(np.float16)


def _sparse(value: SparseVector) -> SparseVector:
    indices = value.indices
    if (indices[1:] > indices[:-1]).all():
        return value
    order = np.argsort(indices, kind="stable")
    indices = indices[order]
    if (indices[1:] == indices[:-1]).any():
        raise WrongInput("indices of a sparse vector must be unique")
    return SparseVector(indices, value.values[order])


def loaded(table: VectorTable, value: bytes) -> VectorValue:
    """Return the vector that was read from :meth:`VectorTable.column`; not for NULL."""
    match table.kind:
        case VectorKind.DENSE:
            return np.frombuffer(value, dtype=_component(table), offset=4).astype(np.float32)
        case VectorKind.MULTI:
            row = [("length", ">i4"), ("head", ">i4"), ("row", _component(table), (table.size,))]
            rows: FloatArray = np.frombuffer(value, np.dtype(row), offset=_ARRAY_HEAD)["row"]
            return rows.astype(np.float32)
        case VectorKind.SPARSE:
            return _loaded_sparse(value)
        case _:
            assert_never(table.kind)


def loaded_rows(table: VectorTable, values: Sequence[bytes]) -> Sequence[FloatArray]:
    """As :func:`loaded` for many dense vectors: all components are converted at once."""
    row = np.dtype([("head", "V4"), ("components", _component(table), (table.size,))])
    return list(np.frombuffer(b"".join(values), dtype=row)["components"].astype(np.float32))


def _component(table: VectorTable) -> str:
    """Return the binary form of a component: big-endian, after two numbers of 16 bits (dimensions, unused)."""
    return ">f2" if table.is_half else ">f4"


def _loaded_sparse(value: bytes) -> SparseVector:
    """Return what two arrays one after the other hold: each has a head, and the length before each element."""
    if len(value) == 2 * _EMPTY_ARRAY:
        return SparseVector(np.empty(0, np.uint32), np.empty(0, np.float32))
    count = (len(value) - 2 * _ARRAY_HEAD) // (_INDEX.itemsize + _WEIGHT.itemsize)
    indices = np.frombuffer(value, _INDEX, count, _ARRAY_HEAD)["value"]
    weights = np.frombuffer(value[-count * _WEIGHT.itemsize :], _WEIGHT)["value"]
    return SparseVector(indices.astype(np.uint32), weights.astype(np.float32))
