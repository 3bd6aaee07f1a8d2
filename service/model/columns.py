"""Points as they are read, in columns: a page of a scroll goes from the database to the answer without being unpacked.

Whoever looks at a point gets a :class:`Record`; payloads are parsed only then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import orjson

from service.model.ids import PointId
from service.model.points import Record, VectorValue


@dataclass(frozen=True, slots=True, eq=False)
class RecordColumns(Sequence[Record]):
    """Records column by column; all columns have the same length.

    ``payloads`` are JSON texts, each an object. A vector that a point does not have is ``None`` in its column.
    """

    ids: Sequence[PointId]
    payloads: Sequence[bytes] | None = None
    vectors: Mapping[str, Sequence[VectorValue | None]] | None = None

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
                None
                if self.vectors is None
                else {name: column[at] for name, column in self.vectors.items()},
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
        if self.vectors is None:
            return None
        found = ((name, column[at]) for name, column in self.vectors.items())
        return {name: value for name, value in found if value is not None}
