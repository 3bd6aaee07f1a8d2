"""Digests of many points, added up: in any order, over any ranges, they come to the same.

A point's *content* is its key, its payload in canonical form, the names and shapes of its vectors and the indices of
sparse ones: everything that is compared exactly. Two stores with equal points have the same. Its *bits* are the content
and the float32 components: they may differ where a vector is equal within the tolerance only, and they pin down what
one store held.

Each is a BLAKE2b of 128 bits; those of several points are added modulo 2**128. That shows accidents. It is no proof
against someone who makes up points in order to have a sum come out right.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Self

from backfill.canonical import by_index, canonical, text
from service.model.points import Payload, SparseVector, Vectors, VectorValue

_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)


@dataclass(frozen=True, slots=True)
class Digest:
    """The digests of a set of points; without arguments of none."""

    content: int = 0
    bits: int = 0

    def __add__(self, other: Self) -> "Digest":
        """Return the digest of both sets, which have no point in common."""
        return total((self, other))

    def to_json(self) -> dict[str, str]:
        """Return both as 32 hexadecimal digits."""
        return {"content": f"{self.content:032x}", "bits": f"{self.bits:032x}"}

    @classmethod
    def from_json(cls, found: Mapping[str, str]) -> Self:
        """Return what :meth:`to_json` wrote."""
        return cls(int(found["content"], 16), int(found["bits"], 16))


class Written(NamedTuple):
    """A point without its key, as bytes; two of the same bytes are equal, and so are their digests."""

    payload: bytes
    """As :func:`backfill.canonical.text` writes it."""
    layout: bytes
    """Names and shapes of the vectors, and the indices of sparse ones."""
    components: bytes


def written(payload: Payload, vectors: Vectors) -> Written:
    """Return a point's bytes."""
    layouts, components = [], []
    for name in sorted(vectors):
        encoded = name.encode()
        layout, values = _parts(vectors[name])
        layouts.append(b"%d:%b%b" % (len(encoded), encoded, layout))
        components.append(values)
    return Written(text(payload), b"".join(layouts), b"".join(components))


def digest_of(key: bytes, point: Written) -> Digest:
    """Return the digest of one point."""
    # JSON has no NUL, so the payload's end cannot be anywhere else.
    hashed = blake2b(key + canonical(point.payload) + b"\0" + point.layout, digest_size=_BYTES)
    content = int.from_bytes(hashed.digest(), "big")
    hashed.update(point.components)
    return Digest(content, int.from_bytes(hashed.digest(), "big"))


def total(digests: Iterable[Digest]) -> Digest:
    """Return the digest of all."""
    content = bits = 0
    for each in digests:
        content += each.content
        bits += each.bits
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
