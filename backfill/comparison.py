"""Comparing a page of ids of both stores at once. Pure, and most of what a verification computes.

Vectors of the same name and length are put one below the other and compared in one go; payloads are first compared as
text, because nearly all are equal.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self, TypeGuard

import numpy as np

from backfill.canonical import Kind, canonical, close_rows, same_json, same_vector, texts
from backfill.digest import Digest, digest_of
from service.model.points import FloatArray, Record, SparseVector, Vectors, VectorValue

KINDS = {
    (False, False): (),
    (True, False): (Kind.PAYLOAD,),
    (False, True): (Kind.VECTOR,),
    (True, True): (Kind.PAYLOAD, Kind.VECTOR),
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Distinct ids, ascending, with what each store has of them; ``None`` where it has nothing."""

    keys: Sequence[bytes]
    source: Sequence[Record | None]
    target: Sequence[Record | None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a page came to.

    The digests are of the points that agree, each made from what its own store returned. ``bytes`` is about how much
    was read of both stores: payloads as JSON, vectors as float32.
    """

    points: int
    source_points: int
    target_points: int
    differing: Sequence[tuple[bytes, tuple[Kind, ...]]]
    source_digest: Digest
    target_digest: Digest
    bytes: int


@dataclass(frozen=True, slots=True)
class _Side:
    """One store's points of the ids that both have."""

    payloads: Sequence[bytes]
    vectors: Sequence[Vectors]

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        return cls(
            texts([record.payload or {} for record in records]),
            [record.vectors or {} for record in records],
        )

    def digest(self, keys: Sequence[bytes], agreed: Sequence[int]) -> Digest:
        written = canonical([self.payloads[at] for at in agreed])
        return digest_of([keys[at] for at in agreed], written, [self.vectors[at] for at in agreed])

    @property
    def bytes(self) -> int:
        payloads = sum(map(len, self.payloads))
        return payloads + sum(_weight(v) for each in self.vectors for v in each.values())


def compare(rows: Rows) -> Compared:
    """Compare what both stores have of the rows' ids."""
    both = list(_in_both(rows))
    keys = [key for key, _, _ in both]
    source = _Side.of([record for _, record, _ in both])
    target = _Side.of([record for _, _, record in both])
    payloads = {
        at
        for at, (one, other) in enumerate(zip(source.payloads, target.payloads, strict=True))
        if one != other and not same_json(both[at][1].payload or {}, both[at][2].payload or {})
    }
    vectors = _differing(source.vectors, target.vectors)
    agreed = [at for at in range(len(both)) if at not in payloads and at not in vectors]
    kinds = {keys[at]: KINDS[at in payloads, at in vectors] for at in payloads | vectors}
    for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True):
        if one is None or other is None:
            kinds[key] = (Kind.EXTRA,) if one is None else (Kind.MISSING,)
    return Compared(
        points=len(rows.keys),
        source_points=sum(record is not None for record in rows.source),
        target_points=sum(record is not None for record in rows.target),
        differing=sorted(kinds.items()),
        source_digest=source.digest(keys, agreed),
        target_digest=target.digest(keys, agreed),
        bytes=source.bytes + target.bytes + _alone(rows),
    )


def _in_both(rows: Rows) -> Iterator[tuple[bytes, Record, Record]]:
    for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True):
        if one is not None and other is not None:
            yield key, one, other


def _alone(rows: Rows) -> int:
    """Return the bytes of points that only one store has."""
    records = [
        one or other
        for one, other in zip(rows.source, rows.target, strict=True)
        if one is None or other is None
    ]
    return _Side.of([record for record in records if record is not None]).bytes


def _differing(source: Sequence[Vectors], target: Sequence[Vectors]) -> set[int]:
    """Return at which places the vectors differ."""
    found = set()
    stacks: dict[tuple[str, int], list[tuple[int, FloatArray, FloatArray]]] = defaultdict(list)
    for at, (ours, theirs) in enumerate(zip(source, target, strict=True)):
        if ours.keys() != theirs.keys():
            found.add(at)
            continue
        for name, one in ours.items():
            other = theirs[name]
            if _is_flat(one) and _is_flat(other) and one.shape == other.shape:
                stacks[name, len(one)].append((at, one, other))
            elif not same_vector(one, other):
                found.add(at)
    for stack in stacks.values():
        close = close_rows(
            np.stack([one for _, one, _ in stack]), np.stack([other for _, _, other in stack])
        )
        found |= {stack[at][0] for at in np.flatnonzero(~close)}
    return found


def _is_flat(vector: VectorValue) -> TypeGuard[FloatArray]:
    return isinstance(vector, np.ndarray) and vector.ndim == 1


def _weight(vector: VectorValue) -> int:
    if isinstance(vector, SparseVector):
        return vector.indices.nbytes + vector.values.nbytes
    return vector.nbytes
