"""Endpoints that read points as clients did before the universal query; they answer bare lists."""

from collections.abc import Sequence

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.grouping import groups_json
from service.api.qdrant.legacy import (
    DiscoverRequest,
    DiscoverRequestBatch,
    GroupsRequest,
    PageRequest,
    RecommendGroupsRequest,
    RecommendRequest,
    RecommendRequestBatch,
    SearchGroupsRequest,
    SearchRequest,
    SearchRequestBatch,
    to_groups,
    to_query,
)
from service.api.qdrant.parameters import READ
from service.api.qdrant.reads import answered, grouped
from service.api.qdrant.requests import ApiRequest
from service.api.rendering import hits_json
from service.model.qdrant import GroupsResult, ScoredPoint

endpoints = Endpoints("Points", "/collections/{collection_name}/points")

_HITS = list[ScoredPoint]


@endpoints.on("POST /search", "search_points", body=SearchRequest, result=_HITS, parameters=READ)
async def search(request: ApiRequest) -> Response:
    """The best points for a vector."""
    return await _one(request, await request.parsed(SearchRequest))


@endpoints.on(
    "POST /search/batch",
    "search_batch_points",
    body=SearchRequestBatch,
    result=list[_HITS],
    parameters=READ,
)
async def search_batch(request: ApiRequest) -> Response:
    """Many searches, answered in their order."""
    return await _many(request, (await request.parsed(SearchRequestBatch)).searches)


@endpoints.on(
    "POST /search/groups",
    "search_point_groups",
    body=SearchGroupsRequest,
    result=GroupsResult,
    parameters=READ,
)
async def search_groups(request: ApiRequest) -> Response:
    """The best points for a vector, by the values of a field."""
    return await _groups(request, await request.parsed(SearchGroupsRequest))


@endpoints.on(
    "POST /recommend", "recommend_points", body=RecommendRequest, result=_HITS, parameters=READ
)
async def recommend(request: ApiRequest) -> Response:
    """Points like some and unlike others."""
    return await _one(request, await request.parsed(RecommendRequest))


@endpoints.on(
    "POST /recommend/batch",
    "recommend_batch_points",
    body=RecommendRequestBatch,
    result=list[_HITS],
    parameters=READ,
)
async def recommend_batch(request: ApiRequest) -> Response:
    """Many recommendations, answered in their order."""
    return await _many(request, (await request.parsed(RecommendRequestBatch)).searches)


@endpoints.on(
    "POST /recommend/groups",
    "recommend_point_groups",
    body=RecommendGroupsRequest,
    result=GroupsResult,
    parameters=READ,
)
async def recommend_groups(request: ApiRequest) -> Response:
    """Points like some and unlike others, by the values of a field."""
    return await _groups(request, await request.parsed(RecommendGroupsRequest))


@endpoints.on(
    "POST /discover", "discover_points", body=DiscoverRequest, result=_HITS, parameters=READ
)
async def discover(request: ApiRequest) -> Response:
    """Points near a target, on the right side of pairs of examples."""
    return await _one(request, await request.parsed(DiscoverRequest))


@endpoints.on(
    "POST /discover/batch",
    "discover_batch_points",
    body=DiscoverRequestBatch,
    result=list[_HITS],
    parameters=READ,
)
async def discover_batch(request: ApiRequest) -> Response:
    """Many discoveries, answered in their order."""
    return await _many(request, (await request.parsed(DiscoverRequestBatch)).searches)


async def _one(request: ApiRequest, wanted: PageRequest) -> Response:
    hits = await answered(request, to_query(wanted))
    return request.ok(hits_json(hits))


async def _many(request: ApiRequest, wanted: Sequence[PageRequest]) -> Response:
    queries = [to_query(each, ("searches", at)) for at, each in enumerate(wanted)]
    answers = [await answered(request, query, batch=len(queries)) for query in queries]
    return request.ok([hits_json(hits) for hits in answers])


async def _groups(request: ApiRequest, wanted: GroupsRequest) -> Response:
    return request.ok(groups_json(await grouped(request, to_groups(wanted))))
