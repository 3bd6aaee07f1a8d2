"""Point ids and their ordered keys.

A point id is an unsigned 64-bit integer or a UUID. Its key is 17 bytes: a kind byte (0 integer, 1 UUID) and
16 bytes of value, big-endian. Keys sort bytewise exactly as Qdrant scrolls (all integers, then all UUIDs), and the
integer 1 and the UUID ``00000000-0000-0000-0000-000000000001`` stay different.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias
from uuid import UUID

import numpy as np

PointId: TypeAlias = int | str
"""An integer in 0 … 2**64-1, or a UUID as a hyphenated lower-case string."""

KEY_BYTES = 17
MAX_INTEGER_ID = 2**64 - 1

_INTEGER = b"\x00"
_UUID = b"\x01"
# Eight bytes of zeros come before the value.
_INTEGER_KEY = np.dtype([("kind", "u1"), ("zeros", "V8"), ("integer", ">u8")])


def parse_point_id(value: object) -> PointId:
    """Return the canonical id for what a client wrote: an int or any spelling of a UUID.

    Raises ``ValueError`` when the value is neither.
    """
    match value:
        case bool():
            pass
        case int() if 0 <= value <= MAX_INTEGER_ID:
            return value
        case UUID():
            return str(value)
        case str():
            try:
                return str(UUID(value))
            except ValueError:
                pass
        case _:
            pass
    message = (
        f"value {value} is not a valid point ID, "
        "valid values are either an unsigned integer or a UUID"
    )
    raise ValueError(message)


def encode_key(point_id: PointId) -> bytes:
    """Return the 17-byte ordered key of a canonical id."""
    if isinstance(point_id, int):
        return _INTEGER + point_id.to_bytes(16, "big")
    return _UUID + UUID(point_id).bytes


def decode_key(key: bytes) -> PointId:
    """Return the canonical id of a key; the inverse of :func:`encode_key`."""
    if key[:1] == _INTEGER:
        return int.from_bytes(key[1:], "big")
    return str(UUID(bytes=bytes(key[1:])))


def decode_keys(keys: Sequence[bytes]) -> list[PointId]:
    """Return the ids of many keys; where all are integers it takes a tenth of the time."""
    joined = b"".join(keys)
    if joined[::KEY_BYTES].strip(_INTEGER):
        return [decode_key(key) for key in keys]
    ids: list[PointId] = np.frombuffer(joined, dtype=_INTEGER_KEY)["integer"].tolist()
    return ids


def sorted_keys(ids: Iterable[PointId]) -> list[bytes]:
    """Return the distinct keys of the ids in ascending order (the order in which rows are locked)."""
    return sorted({encode_key(point_id) for point_id in ids})


def pack_keys(keys: Sequence[bytes]) -> bytes:
    """Concatenate keys into one value of ``17 * len(keys)`` bytes."""
    return b"".join(keys)


def unpack_keys(packed: bytes) -> list[bytes]:
    """Split what :func:`pack_keys` joined."""
    return [bytes(packed[at : at + KEY_BYTES]) for at in range(0, len(packed), KEY_BYTES)]
