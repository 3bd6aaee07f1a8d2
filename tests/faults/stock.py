"""What lies in Qdrant before a collection is mirrored: points with ids of any kind; clients write some later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Self
from uuid import UUID

import aiohttp

from service.model.ids import MAX_INTEGER_ID, PointId
from tests.faults.contents import Contents
from tests.faults.states import Held, held
from tests.faults.writes import VECTORS

POINTS = 1_500
_IDS_PER_WRITER = 60
_PAGE = 500


class Ids(StrEnum):
    """How the ids of a collection lie."""

    DENSE = "dense"
    SPARSE = "sparse"
    U64 = "u64"
    """At the upper end of what Qdrant allows."""
    UUIDS = "UUIDs"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Shelf:
    """The points that stay as they are, and the ids that are given to each writer."""

    kept: Contents
    handed_out: Sequence[Sequence[PointId]]

    @classmethod
    def of(cls, ids: Ids, random: Random, writers: int) -> Self:
        """Return points with such ids; those of the writers lie scattered among the others."""
        found = _ids(ids, random)
        chosen = random.sample(found, writers * _IDS_PER_WRITER)
        own = [chosen[at::writers] for at in range(writers)]
        kept = {point_id: _point(number) for number, point_id in enumerate(found)}
        for point_id in chosen:
            del kept[point_id]
        return cls(kept, own)

    async def fill(self, http: aiohttp.ClientSession, qdrant_url: str, collection: str) -> None:
        """Write the points that stay to Qdrant, around vecferry."""
        points = [body_of(point_id, point) for point_id, point in self.kept.items()]
        url = f"{qdrant_url}/collections/{collection}/points?wait=true"
        for at in range(0, len(points), _PAGE):
            async with http.put(url, json={"points": points[at : at + _PAGE]}) as answer:
                answer.raise_for_status()


def body_of(point_id: PointId, point: Held) -> Mapping[str, object]:
    """Return a point as an upsert has it."""
    return {"id": point_id, "vector": dict(point.vectors), "payload": point.fields}


def _point(number: int) -> Held:
    vectors = {name: [float(number % 61), *([1.0] * (size - 1))] for name, size in VECTORS.items()}
    return held({"stock": number}, vectors)


def _ids(kind: Ids, random: Random) -> list[PointId]:
    match kind:
        case Ids.DENSE:
            return list(range(POINTS))
        case Ids.SPARSE:
            return list(random.sample(range(10**15), POINTS))
        case Ids.U64:
            return [MAX_INTEGER_ID - number * 3 for number in range(POINTS)]
        case Ids.UUIDS:
            return [str(UUID(int=random.getrandbits(128))) for _ in range(POINTS)]
        case Ids.MIXED:
            kinds = (Ids.DENSE, Ids.SPARSE, Ids.U64, Ids.UUIDS)
            mixed = {point_id for each in kinds for point_id in _ids(each, random)[: POINTS // 4]}
            return sorted(mixed, key=str)
