"""Distances among a random sample of points.

Source: lib/collection/src/collection/distance_matrix.rs in Qdrant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.model.ids import PointId, encode_key
from service.model.points import UNNAMED, Hit, Neighbour, SparseVector, VectorValue
from service.model.qdrant import (
    Filter,
    HasIdCondition,
    HasVectorCondition,
    NearestQuery,
    PointRequest,
    QueryRequest,
    Sample,
    SampleQuery,
    SearchMatrixRequest,
    VectorInput,
)
from service.model.qdrant import SparseVector as SparseInput
from service.ports import PointReader
from service.queries.defaults import NEIGHBOURS, SAMPLE
from service.queries.filters import merged


@dataclass(frozen=True, slots=True)
class Matrix:
    """The points of the sample in id order, and the nearest others of each, in the same order, best first."""

    ids: Sequence[PointId]
    neighbours: Sequence[Neighbour]


async def distance_matrix(
    store: PointReader, collection: str, request: SearchMatrixRequest
) -> Matrix:
    """Return the nearest others of every point in a sample of those that have the vector and match the filter.

    ``sample`` is 10 and ``limit`` 3 by default. Of a sample of less than two points nothing is answered.
    """
    using = request.using or UNNAMED
    limit = NEIGHBOURS if request.limit is None else request.limit
    sample = await store.query(collection, _sampling(request, using))
    if len(sample) < 2:  # noqa: PLR2004 - a pair
        return Matrix([], [])
    ids = sorted((hit.id for hit in sample), key=encode_key)
    # Not in the sample itself: a vector that the collection does not have is no error when no point has it.
    wanted = PointRequest(ids=list(ids), with_payload=False, with_vector=[using])
    neighbours: list[Neighbour] = []
    for point in await store.retrieve(collection, wanted):
        for vector in (point.vectors or {}).values():
            nearest = await store.query(collection, _nearest(vector, using, ids, limit + 1))
            neighbours.extend(
                Neighbour(point.id, hit.id, hit.score) for hit in _others(nearest, point.id, limit)
            )
    return Matrix(ids, neighbours)


def _sampling(request: SearchMatrixRequest, using: str) -> QueryRequest:
    having = Filter(must=[HasVectorCondition(has_vector=using)])
    return QueryRequest(
        shard_key=request.shard_key,
        query=SampleQuery(sample=Sample.RANDOM),
        filter=merged(request.filter, having),
        limit=SAMPLE if request.sample is None else request.sample,
    )


def _nearest(vector: VectorValue, using: str, ids: Sequence[PointId], limit: int) -> QueryRequest:
    return QueryRequest(
        query=NearestQuery(nearest=_input(vector)),
        using=using,
        filter=Filter(must=[HasIdCondition(has_id=list(ids))]),
        limit=limit,
    )


def _input(vector: VectorValue) -> VectorInput:
    if isinstance(vector, SparseVector):
        return SparseInput(indices=vector.indices.tolist(), values=vector.values.tolist())
    given: VectorInput = vector.tolist()
    return given


def _others(hits: Sequence[Hit], point_id: PointId, limit: int) -> list[Hit]:
    """Return the hits without the point itself, which need not be the best or be there at all."""
    return [hit for hit in hits if hit.id != point_id][:limit]
