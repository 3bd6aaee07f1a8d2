"""Points as a batch of Arrow columns. Pure."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import orjson
import pyarrow as pa

from backfill.archive.layout import Kind, Layout, VectorShape, column_name, column_type
from service.errors import ArchiveError
from service.model.points import Point, SparseVector, VectorValue


def encode(points: Sequence[Point], layout: Layout, schema: pa.Schema) -> pa.RecordBatch:
    """Return the points as one batch. Raises ``ArchiveError`` for a vector that the layout does not have."""
    for point in points:
        _check(point, layout)
    columns = [
        pa.array([str(point.id) for point in points], pa.string()),
        pa.array([_kind(point) for point in points], pa.string()),
        pa.array([orjson.dumps(point.payload).decode() for point in points], pa.string()),
        *(
            _column([point.vectors.get(name) for point in points], shape)
            for name, shape in layout.items()
        ),
    ]
    return pa.record_batch(columns, schema=schema)


def _kind(point: Point) -> str:
    return "integer" if isinstance(point.id, int) else "uuid"


def _check(point: Point, layout: Layout) -> None:
    for name, vector in point.vectors.items():
        shape = layout.get(name)
        if shape is None or not _fits(vector, shape):
            message = (
                f"point {point.id}: `{column_name(name)}` does not fit the configuration that the export"
                " began with: the collection was changed meanwhile; export it anew (--restart)"
            )
            raise ArchiveError(message)


def _fits(vector: VectorValue, shape: VectorShape) -> bool:
    if isinstance(vector, SparseVector):
        return shape.kind is Kind.SPARSE
    match shape.kind:
        case Kind.DENSE:
            return vector.shape == (shape.size,)
        case Kind.MULTI:
            return vector.ndim == 2 and vector.shape[1] == shape.size  # noqa: PLR2004 - rows and columns
        case Kind.SPARSE:
            return False


def _column(vectors: Sequence[VectorValue | None], shape: VectorShape) -> pa.Array:
    absent = pa.array([vector is None for vector in vectors], pa.bool_())
    match shape.kind:
        case Kind.DENSE:
            zeros = np.zeros(shape.size or 0, np.float32)
            rows = [zeros if vector is None else vector for vector in vectors]
            return pa.FixedSizeListArray.from_arrays(_flat(rows), shape.size, mask=absent)
        case Kind.MULTI:
            present = [vector for vector in vectors if isinstance(vector, np.ndarray)]
            rows = pa.FixedSizeListArray.from_arrays(_flat(present), shape.size)
            return pa.ListArray.from_arrays(
                _offsets([len(v) if isinstance(v, np.ndarray) else 0 for v in vectors]),
                rows,
                type=column_type(shape),
                mask=absent,
            )
        case Kind.SPARSE:
            return _sparse(vectors, absent)


def _sparse(vectors: Sequence[VectorValue | None], absent: pa.Array) -> pa.Array:
    present = [vector for vector in vectors if isinstance(vector, SparseVector)]
    offsets = _offsets([len(v.indices) if isinstance(v, SparseVector) else 0 for v in vectors])
    indices = _joined([vector.indices for vector in present], np.uint32)
    values = _joined([vector.values for vector in present], np.float32)
    lists = [pa.ListArray.from_arrays(offsets, pa.array(each)) for each in (indices, values)]
    return pa.StructArray.from_arrays(lists, names=["indices", "values"], mask=absent)


def _offsets(lengths: Sequence[int]) -> pa.Array:
    return pa.array([0, *accumulate(lengths)], pa.int32())


def _flat(rows: Sequence[VectorValue]) -> pa.Array:
    return pa.array(_joined([np.ravel(row) for row in rows], np.float32))  # type: ignore[arg-type]  # dense ones only


def _joined(parts: Sequence[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype, copy=False)
