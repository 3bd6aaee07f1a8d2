"""Points as the stores exchange them.

The unnamed vector of a collection has the name ``""``. Dense vectors are float32 arrays of shape ``(dim,)``,
multivectors of shape ``(rows, dim)``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.model.ids import PointId

Payload: TypeAlias = dict[str, Any]
FloatArray: TypeAlias = NDArray[np.float32]

UNNAMED = ""


@dataclass(frozen=True, slots=True, eq=False)
class SparseVector:
    """Non-zero entries: ``indices`` uint32 and ``values`` float32, both of shape ``(nnz,)``."""

    indices: NDArray[np.uint32]
    values: FloatArray


VectorValue: TypeAlias = FloatArray | SparseVector
Vectors: TypeAlias = Mapping[str, VectorValue]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A whole point, as it is written: every vector it has and its full payload."""

    id: PointId
    vectors: Vectors
    payload: Payload


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A point as it is read; what was not asked for is ``None``.

    ``order_value`` is the value that it was ordered by: a number, or microseconds since 1970 for a moment.
    """

    id: PointId
    payload: Payload | None = None
    vectors: Vectors | None = None
    order_value: int | float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A search result. ``score`` is what the collection's distance says, in Qdrant's sense and sign."""

    id: PointId
    score: float
    version: int = 0
    payload: Payload | None = None
    vectors: Vectors | None = None
    order_value: int | float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page of a scroll in id order; ``next_id`` is the first id of the next page, ``None`` on the last one."""

    records: Sequence[Record]
    next_id: PointId | None


@dataclass(frozen=True, slots=True)
class FacetHit:
    """A value of a payload field and the number of points that have it."""

    value: str | int | bool
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The best hits of one group; ``lookup`` is the point of another collection that has the group's id."""

    id: str | int
    hits: list[Hit]
    lookup: Record | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Two points of a distance matrix and their score."""

    a: PointId
    b: PointId
    score: float
