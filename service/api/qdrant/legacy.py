"""The bodies from before the universal query, which older clients and today's JavaScript client still send.

``qdrant_client`` has dropped these models. They are turned into the query that means the same. ``top`` is the older
name of ``limit``, which has no default here.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, StrictFloat

from service.api.qdrant.paths import Path, malformed
from service.errors import BadRequest
from service.model.qdrant import (
    ContextPair,
    ContextQuery,
    DiscoverInput,
    DiscoverQuery,
    ExtendedPointId,
    Filter,
    LookupLocation,
    NearestQuery,
    QueryGroupsRequest,
    QueryInterface,
    QueryRequest,
    RecommendInput,
    RecommendQuery,
    RecommendStrategy,
    SearchParams,
    ShardKeySelector,
    SparseVector,
    WithLookupInterface,
    WithPayloadInterface,
    WithVector,
)

Example: TypeAlias = ExtendedPointId | list[StrictFloat] | SparseVector
"""A point's id, or a vector."""


class NamedVector(BaseModel):
    """The query and the name of the vector that it is compared with."""

    model_config = ConfigDict(extra="forbid")

    name: str
    vector: list[StrictFloat] | SparseVector


class _Options(BaseModel):
    """What all these requests have in common."""

    model_config = ConfigDict(extra="forbid")

    filter: Filter | None = None
    params: SearchParams | None = None
    with_payload: WithPayloadInterface | None = None
    with_vector: WithVector | None = None
    score_threshold: float | None = None
    shard_key: ShardKeySelector | None = None


class _Page(_Options):
    limit: int | None = None
    top: int | None = None
    offset: int | None = None


class _Grouping(_Options):
    group_by: str
    group_size: int
    limit: int
    with_lookup: WithLookupInterface | None = None


class _Search(BaseModel):
    vector: list[StrictFloat] | NamedVector


class _Recommend(BaseModel):
    positive: list[Example] = []
    negative: list[Example] = []
    strategy: RecommendStrategy | None = None
    using: str | None = None
    lookup_from: LookupLocation | None = None


class ExamplePair(BaseModel):
    """A positive and a negative example."""

    model_config = ConfigDict(extra="forbid")

    positive: Example
    negative: Example


class _Discover(BaseModel):
    target: Example | None = None
    context: list[ExamplePair] | None = None
    using: str | None = None
    lookup_from: LookupLocation | None = None


class SearchRequest(_Search, _Page):
    """Body of ``points/search``."""


class SearchRequestBatch(BaseModel):
    """Body of ``points/search/batch``."""

    searches: list[SearchRequest]


class SearchGroupsRequest(_Search, _Grouping):
    """Body of ``points/search/groups``."""


class RecommendRequest(_Recommend, _Page):
    """Body of ``points/recommend``."""


class RecommendRequestBatch(BaseModel):
    """Body of ``points/recommend/batch``."""

    searches: list[RecommendRequest]


class RecommendGroupsRequest(_Recommend, _Grouping):
    """Body of ``points/recommend/groups``."""


class DiscoverRequest(_Discover, _Page):
    """Body of ``points/discover``."""


class DiscoverRequestBatch(BaseModel):
    """Body of ``points/discover/batch``."""

    searches: list[DiscoverRequest]


PageRequest: TypeAlias = SearchRequest | RecommendRequest | DiscoverRequest
GroupsRequest: TypeAlias = SearchGroupsRequest | RecommendGroupsRequest


def to_query(request: PageRequest, place: Path = ()) -> QueryRequest:
    """Return the query with the same answer.

    Raises ``MalformedBody`` without a limit and ``BadRequest`` without what the points are compared with.
    """
    limit = request.top if request.limit is None else request.limit
    if limit is None:
        raise malformed(place, "missing field `limit`")
    # What it is made of has been checked: to check it again would cost as much as the search.
    return QueryRequest.model_construct(
        **_shared(request), **_objective(request), limit=limit, offset=request.offset
    )


def to_groups(request: GroupsRequest) -> QueryGroupsRequest:
    """Return the grouped query with the same answer. Raises ``BadRequest`` as :func:`to_query`."""
    return QueryGroupsRequest.model_construct(
        **_shared(request),
        **_objective(request),
        group_by=request.group_by,
        group_size=request.group_size,
        limit=request.limit,
        with_lookup=request.with_lookup,
    )


def _shared(request: _Options) -> dict[str, Any]:
    return {
        "filter": request.filter,
        "params": request.params,
        "with_payload": request.with_payload,
        "with_vector": request.with_vector,
        "score_threshold": request.score_threshold,
        "shard_key": request.shard_key,
    }


def _objective(request: _Search | _Recommend | _Discover) -> dict[str, Any]:
    query: QueryInterface
    match request:
        case _Search(vector=NamedVector(name=name, vector=vector)):
            return {"query": NearestQuery.model_construct(nearest=vector), "using": name}
        case _Search(vector=vector):
            return {"query": NearestQuery.model_construct(nearest=vector)}
        case _Recommend():
            query = _recommend(request)
        case _Discover():
            query = _discover(request)
    return {"query": query, "using": request.using, "lookup_from": request.lookup_from}


def _recommend(request: _Recommend) -> RecommendQuery:
    averages = request.strategy in {None, RecommendStrategy.AVERAGE_VECTOR}
    if averages and not request.positive:
        reason = "At least one positive vector ID required with this strategy"
        raise BadRequest(reason)
    if not request.positive and not request.negative:
        reason = "At least one positive or negative vector ID required with this strategy"
        raise BadRequest(reason)
    examples = RecommendInput.model_construct(
        positive=request.positive, negative=request.negative, strategy=request.strategy
    )
    return RecommendQuery.model_construct(recommend=examples)


def _discover(request: _Discover) -> DiscoverQuery | ContextQuery:
    pairs = _pairs(request.context or ())
    if request.target is not None:
        wanted = DiscoverInput.model_construct(target=request.target, context=pairs)
        return DiscoverQuery.model_construct(discover=wanted)
    if not pairs:
        reason = "target and/or context_pairs must be specified"
        raise BadRequest(reason)
    return ContextQuery.model_construct(context=pairs)


def _pairs(pairs: Sequence[ExamplePair]) -> list[ContextPair]:
    return [
        ContextPair.model_construct(positive=pair.positive, negative=pair.negative)
        for pair in pairs
    ]
