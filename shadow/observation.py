"""What one store answered to one search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from service.model.ids import PointId
from service.model.points import Hit
from service.model.qdrant import QueryRequest
from service.stages import Side


@dataclass(frozen=True, slots=True)
class Observation:
    """Ids best first with their scores, the seconds it took, or the reason why there are none."""

    ids: tuple[PointId, ...]
    scores: tuple[float, ...]
    seconds: float
    error: str | None = None

    @classmethod
    def of(cls, hits: Sequence[Hit], seconds: float) -> Self:
        """Return the observation of an answered search."""
        ids = tuple(hit.id for hit in hits)
        return cls(ids, tuple(hit.score for hit in hits), seconds)

    @classmethod
    def failed(cls, error: str, seconds: float) -> Self:
        """Return the observation of a search that was not answered."""
        return cls((), (), seconds, error)


@dataclass(frozen=True, slots=True)
class ShadowRead:
    """A search that its client has the answer to, waiting to be asked of the other store.

    ``control`` is the side that answered. ``disturbed`` says, whenever it is asked, whether a write
    to the collection was in flight or owed at any moment since just before the control was asked.
    """

    collection: str
    query: QueryRequest
    control: Side
    observation: Observation
    disturbed: Callable[[], bool]
