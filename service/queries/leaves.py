"""What a store must be able to do for a universal query; everything else is composed of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.model.ids import PointId
from service.model.points import Hit
from service.model.qdrant import (
    Distance,
    Filter,
    PayloadSchemaType,
    SearchParams,
    WithPayloadInterface,
    WithVector,
)
from service.model.queries import ByField, ByVector
from service.translate.paths import Path


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Selection:
    """Which points a leaf may answer and how much of each.

    ``among`` restricts it to some points (those that branches returned), ``excluded`` leaves some out.
    """

    limit: int
    offset: int = 0
    filter: Filter | None = None
    excluded: tuple[PointId, ...] = ()
    among: tuple[PointId, ...] | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: WithPayloadInterface | None = None
    with_vector: WithVector | None = None


class Leaves(Protocol):
    """The reads of one collection that a query tree ends in; each answers best first."""

    async def by_vector(self, wanted: ByVector, selection: Selection) -> Sequence[Hit]:
        """Return the points with the best scores. Raises ``WrongInput`` for a vector that does not fit."""
        ...

    async def by_field(self, wanted: ByField, selection: Selection) -> list[Hit]:
        """Return the points in the order of a field, with ``order_value``. Raises ``BadRequest`` without an index."""
        ...

    async def by_id(self, selection: Selection) -> list[Hit]:
        """Return the first points in id order, each with the score 1."""
        ...

    async def at_random(self, selection: Selection) -> list[Hit]:
        """Return a random sample, each with the score 1."""
        ...

    async def matching(
        self, ids: Sequence[PointId], filters: Sequence[Filter]
    ) -> list[set[PointId]]:
        """Return, for every filter, which of the points match it."""
        ...

    def distance(self, using: str) -> Distance:
        """Return how the vectors of this name are compared; sparse ones always by inner product."""
        ...

    def indexes(self) -> Mapping[Path, PayloadSchemaType]:
        """Return the types of the payload indexes."""
        ...
