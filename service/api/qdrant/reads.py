"""Endpoints that read points."""

from collections.abc import Sequence

from starlette.responses import Response

from service.api.parsing import parse
from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.grouping import facet_json, groups_json
from service.api.qdrant.parameters import READ
from service.api.qdrant.reading import as_object, required_list
from service.api.qdrant.requests import ApiRequest
from service.api.rendering import hits_json, page_json, record_json
from service.errors import PointNotFound, WrongInput
from service.model.ids import MAX_INTEGER_ID, PointId, parse_point_id
from service.model.points import Group, Hit, Record
from service.model.qdrant import (
    CountRequest,
    CountResult,
    FacetRequest,
    FacetResponse,
    GroupsResult,
    PointRequest,
    QueryGroupsRequest,
    QueryRequest,
    QueryRequestBatch,
    QueryResponse,
    ScrollRequest,
    ScrollResult,
)
from service.model.qdrant import Record as RecordJson
from service.queries import groups

endpoints = Endpoints("Points", "/collections/{collection_name}")


@endpoints.on(
    "POST /points/query",
    "query_points",
    body=QueryRequest,
    result=QueryResponse,
    parameters=READ,
)
async def query(request: ApiRequest) -> Response:
    """The best points for a query."""
    hits = await answered(request, await request.parsed(QueryRequest))
    return request.ok({"points": hits_json(hits)})


@endpoints.on(
    "POST /points/query/batch",
    "query_batch_points",
    body=QueryRequestBatch,
    result=list[QueryResponse],
    parameters=READ,
)
async def query_batch(request: ApiRequest) -> Response:
    """Many queries, answered in their order."""
    queries = [
        parse(QueryRequest, raw, ("searches", at))
        for at, raw in enumerate(required_list(as_object(await request.json()), "searches"))
    ]
    answers = [await answered(request, each, batch=len(queries)) for each in queries]
    return request.ok([{"points": hits_json(hits)} for hits in answers])


@endpoints.on(
    "POST /points/query/groups",
    "query_points_groups",
    body=QueryGroupsRequest,
    result=GroupsResult,
    parameters=READ,
)
async def query_groups(request: ApiRequest) -> Response:
    """The best points for a query, by the values of a field."""
    found = await grouped(request, await request.parsed(QueryGroupsRequest))
    return request.ok(groups_json(found))


@endpoints.on(
    "POST /points/scroll",
    "scroll_points",
    body=ScrollRequest,
    result=ScrollResult,
    parameters=READ,
)
async def scroll(request: ApiRequest) -> Response:
    """A page of points in the order of their ids, or of a payload field."""
    wanted = await request.parsed(ScrollRequest)
    page = await request.in_time("Scroll", request.store.scroll(request.collection, wanted))
    return request.ok(page_json(page))


@endpoints.on(
    "POST /points/count",
    "count_points",
    body=CountRequest,
    result=CountResult,
    parameters=READ,
)
async def count(request: ApiRequest) -> Response:
    """The number of points that match."""
    wanted = await request.parsed(CountRequest)
    number = await request.in_time("Count", request.store.count(request.collection, wanted))
    return request.ok({"count": number})


@endpoints.on("POST /facet", "facet", body=FacetRequest, result=FacetResponse, parameters=READ)
async def facet(request: ApiRequest) -> Response:
    """The values of a payload field and how many points have each."""
    wanted = await request.parsed(FacetRequest)
    hits = await request.in_time("Facet", request.store.facet(request.collection, wanted))
    return request.ok(facet_json(hits))


@endpoints.on(
    "POST /points",
    "get_points",
    body=PointRequest,
    result=list[RecordJson],
    parameters=READ,
)
async def retrieve(request: ApiRequest) -> Response:
    """Points by id."""
    records = await _retrieved(request, await request.parsed(PointRequest))
    return request.ok([record_json(record) for record in records])


@endpoints.on("GET /points/{id}", "get_point", result=RecordJson, parameters=READ)
async def get_point(request: ApiRequest) -> Response:
    """One point with its payload and vectors."""
    known = _id_in_path(request.names["id"])
    wanted = PointRequest(ids=[known], with_payload=True, with_vector=True)
    records = await _retrieved(request, wanted)
    if not records:
        reason = f"Point with id {known} does not exists!"
        raise PointNotFound(reason)
    return request.ok(record_json(records[0]))


async def answered(
    request: ApiRequest, wanted: QueryRequest, *, batch: int | None = None
) -> Sequence[Hit]:
    """Return the store's answer to a query, one of ``batch``. Raises ``TimedOut``."""
    work = request.store.query(request.collection, wanted)
    return await request.in_time("Search", work, batch=batch)


async def grouped(request: ApiRequest, wanted: QueryGroupsRequest) -> list[Group]:
    """Return the groups of a query. Raises ``TimedOut``."""
    work = groups.grouped(request.store, request.collection, wanted)
    return await request.in_time("GroupBy", work, composed=wanted)


async def _retrieved(request: ApiRequest, wanted: PointRequest) -> list[Record]:
    return await request.in_time("Retrieve", request.store.retrieve(request.collection, wanted))


def _id_in_path(text: str) -> PointId:
    try:
        number = int(text) if text.isascii() and text.isdecimal() else None
        return parse_point_id(text if number is None or number > MAX_INTEGER_ID else number)
    except ValueError:
        reason = f'Can not recognize "{text}" as point id'
        raise WrongInput(reason) from None
