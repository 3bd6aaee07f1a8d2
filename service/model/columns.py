"""Points as they are read, in columns: pages and hits go from the database to the answer without being unpacked.

Whoever looks at a point gets a :class:`Record` or a :class:`Hit`; payloads are parsed only then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

import orjson

from service.model.ids import PointId
from service.model.points import Hit, Record, VectorValue

VectorColumns: TypeAlias = Mapping[str, Sequence[VectorValue | None]]
"""By name; a vector that a point does not have is ``None`` in its column."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordColumns(Sequence[Record]):
    """Records column by column; all columns have the same length.

    ``payloads`` are JSON texts, each an object.
    """

    ids: Sequence[PointId]
    payloads: Sequence[bytes] | None = None
    vectors: VectorColumns | None = None

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> "RecordColumns": ...

    def __getitem__(self, at: "int | slice") -> "Record | RecordColumns":
        """Return one record, or some of them in columns."""
        if isinstance(at, slice):
            return RecordColumns(
                self.ids[at],
                None if self.payloads is None else self.payloads[at],
                _sliced(self.vectors, at),
            )
        return Record(
            self.ids[at],
            None if self.payloads is None else orjson.loads(self.payloads[at]),
            self.vectors_at(at),
        )

    def __iter__(self) -> Iterator[Record]:
        """Yield the records."""
        return (self[at] for at in range(len(self.ids)))

    def vectors_at(self, at: int) -> dict[str, VectorValue] | None:
        """Return the vectors that one point has, by name."""
        return _vectors_at(self.vectors, at)


@dataclass(frozen=True, slots=True, eq=False)
class HitColumns(Sequence[Hit]):
    """Hits column by column; ``payloads`` and ``vectors`` are those of :class:`RecordColumns`."""

    ids: Sequence[PointId]
    scores: Sequence[float]
    versions: Sequence[int]
    payloads: Sequence[bytes] | None = None
    vectors: VectorColumns | None = None

    def __len__(self) -> int:
        """Return the number of hits."""
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Hit: ...

    @overload
    def __getitem__(self, at: slice) -> "HitColumns": ...

    def __getitem__(self, at: "int | slice") -> "Hit | HitColumns":
        """Return one hit, or some of them in columns."""
        if isinstance(at, slice):
            return HitColumns(
                self.ids[at],
                self.scores[at],
                self.versions[at],
                None if self.payloads is None else self.payloads[at],
                _sliced(self.vectors, at),
            )
        return Hit(
            self.ids[at],
            self.scores[at],
            self.versions[at],
            None if self.payloads is None else orjson.loads(self.payloads[at]),
            self.vectors_at(at),
        )

    def __iter__(self) -> Iterator[Hit]:
        """Yield the hits."""
        return (self[at] for at in range(len(self.ids)))

    def vectors_at(self, at: int) -> dict[str, VectorValue] | None:
        """Return the vectors that one point has, by name."""
        return _vectors_at(self.vectors, at)


def _sliced(vectors: VectorColumns | None, at: slice) -> VectorColumns | None:
    return None if vectors is None else {name: column[at] for name, column in vectors.items()}


def _vectors_at(vectors: VectorColumns | None, at: int) -> dict[str, VectorValue] | None:
    if vectors is None:
        return None
    found = ((name, column[at]) for name, column in vectors.items())
    return {name: value for name, value in found if value is not None}
