"""When two stores hold the same point. Pure.

Payloads are compared as JSON: the order of keys does not matter, ``true`` is not 1, and 1 is not 1.0, because Qdrant's
filters tell them apart. From 1e16 on a float is equal to the integer that jsonb makes of it: there PostgreSQL keeps the
number and not how it was written.

Vectors are compared in float32, and exactly: both stores keep the bits that they are given. Only what both hold with
length one may have been normalised once more on its way: components may differ by 1e-6 of the largest one then, a few
units in the last place. Where a store keeps float16, that normalisation is rounded to eleven bits: if all components
are such numbers they may differ by one of their units. A tolerance for any other vector would hide changes of its small
components behind a large one.
"""

from enum import StrEnum

import numpy as np
import orjson
from numpy.typing import NDArray

from service.model.points import FloatArray, Payload, Record, SparseVector, Vectors, VectorValue

TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-10
"""The unit in the last place of a float16, relative to the number."""
_UNIT = 1e-5
"""How far from 1 the squared length of a normalised float32 vector may be, and more."""
_HALF_UNIT = 2e-3
"""How far rounding to float16 can take the squared length from 1, and more."""
_EXPONENT_FROM = 1e16
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SEVENTEEN = b"0" * 17


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


def text(payload: Payload) -> bytes:
    """Return the payload as JSON with sorted keys; two of the same text are equal."""
    return orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)


def canonical(written: bytes) -> bytes:
    """Return a :func:`text` in a form that equal payloads share.

    Integers from 1e16 on are written as the nearest float, so two of them may share it without being equal.
    """
    if not _is_unusual(written):
        return written
    return orjson.dumps(_plain(orjson.loads(written)), option=orjson.OPT_SORT_KEYS)


def _is_unusual(written: bytes) -> bool:
    """Say whether there is a number from 1e16 on, however it is written, or a negative zero; or a string like one."""
    # Takes a fifth of the time of a regular expression.
    digits = written.translate(_DIGITS)
    return _SEVENTEEN in digits or b"0e" in digits or b"-0.0" in written


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
    """Say whether two vectors are equal; within ``TOLERANCE`` where both have length one."""
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


def _same_sparse(first: SparseVector, second: SparseVector) -> bool:
    # Nobody normalises them.
    return np.array_equal(first.indices, second.indices) and np.array_equal(
        first.values, second.values
    )


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
        return _has_length_one(ours, _UNIT) and _has_length_one(theirs, _UNIT)
    return bool(difference <= HALF_TOLERANCE * largest and _is_half(first) and _is_half(second))


def _is_half(vector: FloatArray) -> bool:
    """Say whether these are vectors of length one in float16."""
    if not _has_length_one(vector.astype(np.float64), _HALF_UNIT):
        return False
    return np.array_equal(vector.astype(np.float16), vector)


def _has_length_one(vector: NDArray[np.float64], within: float) -> bool:
    """Say whether these are vectors of length one, or zero, of shape ``(dim,)`` or ``(rows, dim)``."""
    squares = (np.atleast_2d(vector) ** 2).sum(axis=1)
    return bool(((np.abs(squares - 1) <= within) | (squares == 0)).all())
