"""When two stores hold the same point. Pure.

Payloads are compared as JSON: the order of keys does not matter, ``true`` is not 1, and 1 is not 1.0, because Qdrant's
filters tell them apart. From 1e16 on a float is equal to the integer that jsonb makes of it: there PostgreSQL keeps the
number and not how it was written.

Vectors are compared in float32: components may differ by 1e-6 of the vector's largest one, which is a few units in the
last place and allows for one more normalisation. Where a store keeps float16, that normalisation is rounded to eleven
bits: vectors of length one whose components are all such numbers may differ by one of their units.
"""

import re
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import orjson
from numpy.typing import NDArray

from service.model.points import FloatArray, Payload, Record, SparseVector, Vectors, VectorValue

TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-10
"""The unit in the last place of a float16, relative to the number."""
_HALF_UNIT = 2e-3
"""How far rounding to float16 can take the squared length from 1, and more."""
_EXPONENT_FROM = 1e16
# A number from 1e16 on, however it is written, or a negative zero; a string that looks like one costs a moment.
_UNUSUAL = re.compile(rb"[0-9]{17}|[0-9]e|-0\.0")


class Kind(StrEnum):
    """How a point differs between the source (Qdrant) and the target (Postgres), whichever is the authority."""

    MISSING = "missing"
    """The target lacks it."""
    EXTRA = "extra"
    """Only the target has it."""
    PAYLOAD = "payload"
    VECTOR = "vector"


def differences(source: Record | None, target: Record | None) -> tuple[Kind, ...]:
    """Return how one id's points differ; nothing when they are equal or both absent."""
    if source is None and target is None:
        return ()
    if source is None:
        return (Kind.EXTRA,)
    if target is None:
        return (Kind.MISSING,)
    kinds = []
    if not same_json(source.payload or {}, target.payload or {}):
        kinds.append(Kind.PAYLOAD)
    if not same_vectors(source.vectors or {}, target.vectors or {}):
        kinds.append(Kind.VECTOR)
    return tuple(kinds)


def same_json(first: object, second: object) -> bool:
    """Say whether two JSON values are equal."""
    match first, second:
        case dict(), dict():
            return first.keys() == second.keys() and all(
                same_json(first[key], second[key]) for key in first
            )
        case list(), list():
            return len(first) == len(second) and all(map(same_json, first, second))
        case (bool(), _) | (_, bool()):
            return first is second
        case (int() | float(), int() | float()):
            return _same_number(first, second)
        case _:
            return type(first) is type(second) and bool(first == second)


def _same_number(first: float, second: float) -> bool:
    if type(first) is type(second):
        return first == second
    # jsonb has the digits that the float was written with, and zeros: as a float it is that very one.
    return abs(first) >= _EXPONENT_FROM and float(first) == float(second)


def texts(payloads: Sequence[Payload]) -> list[bytes]:
    """Return each payload as JSON with sorted keys; two of the same text are equal."""
    return [orjson.dumps(payload, option=orjson.OPT_SORT_KEYS) for payload in payloads]


def canonical(written: Sequence[bytes]) -> Sequence[bytes]:
    """Return the :func:`texts` in a form that equal payloads share.

    Integers from 1e16 on are written as the nearest float, so two of them may share it without being equal.
    """
    # One look at all of them: hardly any text has one.
    if not _UNUSUAL.search(b"\n".join(written)):
        return written
    return [_rewritten(text) if _UNUSUAL.search(text) else text for text in written]


def _rewritten(text: bytes) -> bytes:
    return orjson.dumps(_plain(orjson.loads(text)), option=orjson.OPT_SORT_KEYS)


def _plain(value: object) -> object:
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case bool():
            return value
        case int() if abs(value) >= _EXPONENT_FROM:
            return float(value)
        case float() if value == 0:
            return 0.0
        case _:
            return value


def same_vectors(first: Vectors, second: Vectors) -> bool:
    """Say whether two points have equal vectors under the same names."""
    return first.keys() == second.keys() and all(
        same_vector(first[name], second[name]) for name in first
    )


def same_vector(first: VectorValue, second: VectorValue) -> bool:
    """Say whether two vectors are equal within ``TOLERANCE``."""
    match first, second:
        case SparseVector(), SparseVector():
            return _same_sparse(by_index(first), by_index(second))
        case np.ndarray(), np.ndarray():
            return _close(first, second)
        case _:
            return False


def by_index(vector: SparseVector) -> SparseVector:
    """Return the vector with its entries in the order of their indices."""
    order = np.argsort(vector.indices, kind="stable")
    return SparseVector(vector.indices[order], vector.values[order])


def close_rows(first: FloatArray, second: FloatArray) -> NDArray[np.bool_]:
    """Say of each row whether it is equal within ``TOLERANCE``; both arrays have the shape ``(rows, dim)``."""
    equal = (first == second).all(axis=1)
    for at in np.flatnonzero(~equal):
        equal[at] = _close(first[at], second[at])
    found: NDArray[np.bool_] = equal
    return found


def _same_sparse(first: SparseVector, second: SparseVector) -> bool:
    return np.array_equal(first.indices, second.indices) and _close(first.values, second.values)


def _close(first: FloatArray, second: FloatArray) -> bool:
    if first.shape != second.shape:
        return False
    if np.array_equal(first, second):
        return True
    # In float64: a difference of large float32 values must not overflow into infinity.
    ours, theirs = first.astype(np.float64), second.astype(np.float64)
    largest = max(np.abs(ours).max(), np.abs(theirs).max())
    difference = np.abs(ours - theirs).max()
    if difference <= TOLERANCE * largest:
        return True
    return bool(difference <= HALF_TOLERANCE * largest and _is_half(first) and _is_half(second))


def _is_half(vector: FloatArray) -> bool:
    """Say whether these are vectors of length one, of shape ``(dim,)`` or ``(rows, dim)``, in float16."""
    squares = (np.atleast_2d(vector).astype(np.float64) ** 2).sum(axis=1)
    is_unit = (np.abs(squares - 1) <= _HALF_UNIT).all()
    return bool(is_unit and np.array_equal(vector.astype(np.float16), vector))
