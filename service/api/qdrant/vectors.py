"""Vectors of a write, from JSON straight to float32 arrays.

Validating each number of an upsert through the client's models costs more than all the rest of the
request, so the type check is one pass over the types of a list and the conversion is numpy's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.api.qdrant.paths import Path, dotted, invalid, malformed
from service.errors import Unsupported
from service.model.points import UNNAMED, FloatArray, SparseVector, Vectors, VectorValue

_NUMBERS = frozenset({int, float})
_INFERENCE = frozenset({"text", "image", "object"})
MAX_INDEX = 2**32 - 1


def parse_vectors(raw: object, path: Path) -> Vectors:
    """Return the vectors of one point by name; a bare list is the unnamed one.

    Raises ``MalformedBody``, ``InvalidBody``, or ``Unsupported`` for a text to be embedded.
    """
    match raw:
        case list():
            return {UNNAMED: _dense(raw, path)}
        case dict():
            _refuse_inference(raw, path)
            return {name: _value(item, (*path, name)) for name, item in raw.items()}
        case _:
            raise malformed(path, "expected a vector or an object of vectors")


def parse_columns(raw: object, count: int, path: Path) -> Sequence[Vectors]:
    """Return the vectors of ``count`` points that are written column by column.

    Raises as :func:`parse_vectors`, and ``InvalidBody`` for columns of another length.
    """
    match raw:
        case list():
            _same_length(count, len(raw))
            return [{UNNAMED: _dense(item, (*path, at))} for at, item in enumerate(raw)]
        case dict():
            columns = {name: _column(item, count, (*path, name)) for name, item in raw.items()}
            return [{name: column[at] for name, column in columns.items()} for at in range(count)]
        case _:
            raise malformed(path, "expected a list, or an object of lists")


def _column(raw: object, count: int, path: Path) -> list[VectorValue]:
    if not isinstance(raw, list):
        raise malformed(path, "expected a list of vectors")
    _same_length(count, len(raw))
    return [_value(item, (*path, at)) for at, item in enumerate(raw)]


def _same_length(ids: int, vectors: int) -> None:
    if ids != vectors:
        reason = f"number of ids and vectors must be equal ({ids} != {vectors})"
        raise invalid(("batch",), reason)


def _value(raw: object, path: Path) -> VectorValue:
    match raw:
        case list():
            return _dense(raw, path)
        case {"indices": list(indices), "values": list(values)}:
            return _sparse(indices, values, path)
        case dict():
            _refuse_inference(raw, path)
        case _:
            pass
    raise malformed(path, "expected a dense, sparse or multivector")


def _dense(raw: object, path: Path) -> FloatArray:
    if isinstance(raw, dict):
        _refuse_inference(raw, path)
    if not isinstance(raw, list):
        raise malformed(path, "expected a list of numbers")
    if raw and isinstance(raw[0], list):
        return _multi(raw, path)
    return _floats(raw, path)


def _multi(rows: list[Any], path: Path) -> FloatArray:
    arrays = [_floats(row, (*path, at)) for at, row in enumerate(rows)]
    lengths = {len(array) for array in arrays}
    if 0 in lengths:
        raise invalid(("data",), "all vectors must be non-empty")
    if len(lengths) > 1:
        raise invalid(("data",), "all vectors must have the same dimension")
    return np.stack(arrays)


def _sparse(indices: list[Any], values: list[Any], path: Path) -> SparseVector:
    if set(map(type, indices)) - {int} or not all(0 <= index <= MAX_INDEX for index in indices):
        raise malformed((*path, "indices"), "expected integers of 32 bits")
    weights = _floats(values, (*path, "values"))
    if len(indices) != len(values):
        raise invalid((*path, "values"), "must be the same length as indices")
    if len(set(indices)) != len(indices):
        raise invalid((*path, "indices"), "must be unique")
    return SparseVector(np.array(indices, dtype=np.uint32), weights)


def _floats(raw: object, path: Path) -> FloatArray:
    if not isinstance(raw, list) or not _NUMBERS.issuperset(map(type, raw)):
        raise malformed(path, "expected a list of numbers")
    try:
        with np.errstate(over="raise"):
            return np.array(raw, dtype=np.float32)
    except FloatingPointError:
        raise malformed(path, "a number is out of the range of 32-bit floats") from None


def _refuse_inference(raw: dict[str, Any], path: Path) -> None:
    if "model" in raw and _INFERENCE & raw.keys() and not isinstance(raw["model"], list):
        raise Unsupported(dotted(path), "asks for server-side inference, which is not available")
