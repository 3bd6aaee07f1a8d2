"""A batch of Arrow columns as points; the inverse of ``encoding``. Pure."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from backfill.archive.layout import Kind, Layout, VectorShape, column_name
from service.errors import ArchiveError
from service.model.ids import PointId, parse_point_id
from service.model.points import Payload, Point, SparseVector, VectorValue


def decode(table: pa.Table, layout: Layout) -> list[Point]:
    """Return the table's points in order. Raises ``ArchiveError`` for an id or a payload that is none."""
    ids = map(_id, table.column("id").to_pylist(), table.column("kind").to_pylist())
    payloads = map(_payload, table.column("payload").to_pylist())
    columns = {
        name: _vectors(_whole(table.column(column_name(name))), shape)
        for name, shape in layout.items()
    }
    rows = zip(*columns.values(), strict=True) if columns else repeat(())
    return [
        Point(point_id, _present(columns, row), payload)
        for point_id, payload, row in zip(ids, payloads, rows, strict=False)
    ]


def _present(names: dict[str, Any], row: Sequence[VectorValue | None]) -> dict[str, VectorValue]:
    found = zip(names, row, strict=True)
    return {name: vector for name, vector in found if vector is not None}


def _id(text: str, kind: str) -> PointId:
    try:
        return parse_point_id(int(text) if kind == "integer" else text)
    except ValueError as error:
        message = f"the id {text!r} of kind {kind!r} is none: {error}"
        raise ArchiveError(message) from None


def _payload(text: str) -> Payload:
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"a payload is not JSON: {error}"
        raise ArchiveError(message) from None
    if not isinstance(payload, dict):
        message = f"a payload is not a JSON object: {text[:60]}"
        raise ArchiveError(message)
    return payload


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _vectors(column: pa.Array, shape: VectorShape) -> list[VectorValue | None]:
    match shape.kind:
        case Kind.DENSE:
            return _spread(column, iter(_rows(column.flatten(), shape)))
        case Kind.MULTI:
            rows = _rows(column.flatten().flatten(), shape)
            return _spread(column, _split(rows, _lengths(column)))
        case Kind.SPARSE:
            indices, values = column.flatten()
            lengths = _lengths(indices)
            pairs = zip(
                _split(indices.flatten().to_numpy(), lengths),
                _split(values.flatten().to_numpy(), lengths),
                strict=True,
            )
            return _spread(column, (SparseVector(*pair) for pair in pairs))


def _rows(flat: pa.Array, shape: VectorShape) -> np.ndarray:
    rows: np.ndarray = flat.to_numpy(zero_copy_only=False).reshape(-1, shape.size or 0)
    return rows


def _lengths(column: pa.Array) -> list[int]:
    """Return the lengths of the lists that are not null."""
    lengths: list[int] = pc.list_value_length(column).drop_null().to_pylist()
    return lengths


def _split(values: np.ndarray, lengths: Sequence[int]) -> Iterator[Any]:
    return iter(np.split(values, np.cumsum(lengths)[:-1]) if lengths else [])


def _spread(column: pa.Array, present: Iterator[VectorValue]) -> list[VectorValue | None]:
    """Return what is present at its places and ``None`` at the others."""
    return [next(present) if is_there else None for is_there in column.is_valid().to_pylist()]
