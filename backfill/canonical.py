"""When two stores hold the same point. Pure.

Payloads are compared as JSON: the order of keys does not matter, ``true`` is not 1, and 1 is not
1.0, because Qdrant's filters tell them apart. From 1e16 on a float is equal to the same integer:
there PostgreSQL's jsonb keeps the number and not how it was written.

Vectors are compared in float32: components may differ by 1e-6 of the vector's largest one, which is
a few units in the last place and allows for one more normalisation. Where a store keeps float16, that normalisation is
rounded to eleven bits: vectors of length one whose components are all such numbers may differ by one of their units.
"""

from enum import StrEnum
from hashlib import blake2b

import numpy as np
import orjson

from service.model.points import FloatArray, Record, SparseVector, Vectors, VectorValue

TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-10
"""The unit in the last place of a float16, relative to the number."""
_HALF_UNIT = 2e-3
"""How far rounding to float16 can take the squared length from 1, and more."""
_EXPONENT_FROM = 1e16


class Kind(StrEnum):
    """How a point differs between the control and the candidate."""

    MISSING = "missing"
    """The candidate lacks it."""
    EXTRA = "extra"
    """Only the candidate has it."""
    PAYLOAD = "payload"
    VECTOR = "vector"


def differences(control: Record | None, candidate: Record | None) -> tuple[Kind, ...]:
    """Return how one id's points differ; nothing when they are equal or both absent."""
    if control is None and candidate is None:
        return ()
    if control is None:
        return (Kind.EXTRA,)
    if candidate is None:
        return (Kind.MISSING,)
    return _within(control, candidate)


def _within(control: Record, candidate: Record) -> tuple[Kind, ...]:
    kinds = []
    if not same_json(control.payload or {}, candidate.payload or {}):
        kinds.append(Kind.PAYLOAD)
    if not same_vectors(control.vectors or {}, candidate.vectors or {}):
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
        case (int() | float(), int() | float()):
            return first == second and (type(first) is type(second) or _is_large(first, second))
        case _:
            return type(first) is type(second) and bool(first == second)


def _is_large(first: float, second: float) -> bool:
    is_number = not isinstance(first, bool) and not isinstance(second, bool)
    return is_number and abs(first) >= _EXPONENT_FROM


def same_vectors(first: Vectors, second: Vectors) -> bool:
    """Say whether two points have equal vectors under the same names."""
    return first.keys() == second.keys() and all(
        same_vector(first[name], second[name]) for name in first
    )


def same_vector(first: VectorValue, second: VectorValue) -> bool:
    """Say whether two vectors are equal within ``TOLERANCE``."""
    match first, second:
        case SparseVector(), SparseVector():
            return _same_sparse(first, second)
        case np.ndarray(), np.ndarray():
            return _close(first, second)
        case _:
            return False


def _same_sparse(first: SparseVector, second: SparseVector) -> bool:
    ours, theirs = np.argsort(first.indices), np.argsort(second.indices)
    return np.array_equal(first.indices[ours], second.indices[theirs]) and _close(
        first.values[ours], second.values[theirs]
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
        return True
    return bool(difference <= HALF_TOLERANCE * largest and _is_half(first) and _is_half(second))


def _is_half(vector: FloatArray) -> bool:
    """Say whether these are vectors of length one, of shape ``(dim,)`` or ``(rows, dim)``, in float16."""
    squares = (np.atleast_2d(vector).astype(np.float64) ** 2).sum(axis=1)
    is_unit = (np.abs(squares - 1) <= _HALF_UNIT).all()
    return bool(is_unit and np.array_equal(vector.astype(np.float16), vector))


def fingerprint(record: Record | None) -> bytes:
    """Return a digest of a point, to see whether it rested between two reads."""
    if record is None:
        return b""
    digest = blake2b(orjson.dumps(record.payload, option=orjson.OPT_SORT_KEYS), digest_size=16)
    for name, vector in sorted((record.vectors or {}).items()):
        digest.update(name.encode() + b"\0")
        if isinstance(vector, SparseVector):
            digest.update(vector.indices.tobytes() + vector.values.tobytes())
        else:
            digest.update(vector.tobytes())
    return digest.digest()
