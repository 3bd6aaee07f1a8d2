"""Digests of many points, added up: in any order, over any ranges, they come to the same.

A point's *content* is its key, its payload in canonical form, the names and shapes of its vectors and the indices of
sparse ones: everything that is compared exactly. Two stores with equal points have the same. Its *bits* are the content
and the float32 components: they may differ where a vector is equal within the tolerance only, and they pin down what
one store held.

Each is a BLAKE2b of 128 bits; those of several points are added modulo 2**128. That shows accidents. It is no proof
against someone who makes up points in order to have a sum come out right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from backfill.canonical import by_index
from service.model.points import SparseVector, Vectors, VectorValue

_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)


@dataclass(frozen=True, slots=True)
class Digest:
    """The digests of a set of points; without arguments of none."""

    content: int = 0
    bits: int = 0

    def __add__(self, other: Self) -> "Digest":
        """Return the digest of both sets, which have no point in common."""
        return Digest(
            (self.content + other.content) % _MODULUS, (self.bits + other.bits) % _MODULUS
        )

    def to_json(self) -> dict[str, str]:
        """Return both as 32 hexadecimal digits."""
        return {"content": f"{self.content:032x}", "bits": f"{self.bits:032x}"}

    @classmethod
    def from_json(cls, found: Mapping[str, str]) -> Self:
        """Return what :meth:`to_json` wrote."""
        return cls(int(found["content"], 16), int(found["bits"], 16))


def digest_of(
    keys: Sequence[bytes], payloads: Sequence[bytes], vectors: Sequence[Vectors]
) -> Digest:
    """Return the digest of points; ``payloads`` are in canonical form, all have the same length."""
    content = bits = 0
    for key, payload, named in zip(keys, payloads, vectors, strict=True):
        point = blake2b(key, digest_size=_BYTES)
        # JSON has no NUL, so the payload's end cannot be anywhere else.
        point.update(payload + b"\0")
        values = []
        for name in sorted(named):
            layout, components = _parts(named[name])
            point.update(b"%d:%b%b" % (len(name.encode()), name.encode(), layout))
            values.append(components)
        content += int.from_bytes(point.digest(), "big")
        for components in values:
            point.update(components)
        bits += int.from_bytes(point.digest(), "big")
    return Digest(content % _MODULUS, bits % _MODULUS)


def _parts(vector: VectorValue) -> tuple[bytes, bytes]:
    """Return what is compared exactly of a vector, and its components in order, little-endian."""
    if isinstance(vector, SparseVector):
        ordered = by_index(vector)
        return (
            b"sparse %d " % len(ordered.indices) + ordered.indices.astype("<u4").tobytes(),
            ordered.values.astype("<f4").tobytes(),
        )
    return b"dense %b " % str(vector.shape).encode(), vector.astype("<f4", copy=False).tobytes()
