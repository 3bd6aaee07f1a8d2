"""Comparing a page of ids of both stores. Pure, and most of what a verification computes.

Nearly all points are the same bytes in both stores. What is not is compared value by value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from backfill.canonical import Kind, differences
from backfill.digest import Digest, Written, digest_of, total, written
from service.model.points import Record


@dataclass(frozen=True, slots=True)
class Rows:
    """Distinct ids, ascending, with what each store has of them; ``None`` where it has nothing."""

    keys: Sequence[bytes]
    source: Sequence[Record | None]
    target: Sequence[Record | None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What a page came to.

    The digests are of the points that agree, each made from what its own store returned; a point that is the same bytes
    in both is digested once. ``bytes`` is about how much was read of both stores: payloads as JSON, vectors as float32
    with their names and shapes.
    """

    points: int
    source_points: int
    target_points: int
    differing: Sequence[tuple[bytes, tuple[Kind, ...]]]
    source_digest: Digest
    target_digest: Digest
    bytes: int


def compare(rows: Rows) -> Compared:
    """Compare what both stores have of the rows' ids."""
    differing: list[tuple[bytes, tuple[Kind, ...]]] = []
    ours: list[Digest] = []
    theirs: list[Digest] = []
    weight = 0
    for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True):
        source, target = _written(one), _written(other)
        weight += _weight(source) + _weight(target)
        is_same = source == target
        kinds = () if is_same else differences(one, other)
        if kinds:
            differing.append((key, kinds))
        elif source is not None and target is not None:
            digest = digest_of(key, source)
            ours.append(digest)
            theirs.append(digest if is_same else digest_of(key, target))
    return Compared(
        points=len(rows.keys),
        source_points=sum(record is not None for record in rows.source),
        target_points=sum(record is not None for record in rows.target),
        differing=differing,
        source_digest=total(ours),
        target_digest=total(theirs),
        bytes=weight,
    )


def _written(record: Record | None) -> Written | None:
    return None if record is None else written(record.payload or {}, record.vectors or {})


def _weight(point: Written | None) -> int:
    return 0 if point is None else sum(map(len, point))
