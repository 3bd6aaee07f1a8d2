"""Routes that read points."""

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import ok
from service.api.parsing import parse
from service.api.qdrant.legacy import SearchRequest, SearchRequestBatch, to_query
from service.api.qdrant.reading import as_object, required_list
from service.api.qdrant.requests import Body, Collection, Store, check_parameters
from service.api.rendering import hit_json, page_json, record_json
from service.errors import PointNotFound, WrongInput
from service.model.ids import MAX_INTEGER_ID, PointId, parse_point_id
from service.model.qdrant import CountRequest, PointRequest, QueryRequest, ScrollRequest

router = APIRouter(
    prefix="/collections/{collection}/points",
    tags=["Points"],
    dependencies=[Depends(check_parameters)],
)


@router.post("")
async def retrieve(request: Request, store: Store, collection: Collection, body: Body) -> Response:
    """Points by id."""
    records = await store.retrieve(collection, parse(PointRequest, body))
    return ok(request, [record_json(record) for record in records])


@router.get("/{point_id}")
async def get_point(
    request: Request, store: Store, collection: Collection, point_id: str
) -> Response:
    """One point with its payload and vectors."""
    known = _id_in_path(point_id)
    wanted = PointRequest(ids=[known], with_payload=True, with_vector=True)
    records = await store.retrieve(collection, wanted)
    if not records:
        reason = f"Point with id {known} does not exists!"
        raise PointNotFound(reason)
    return ok(request, record_json(records[0]))


@router.post("/scroll")
async def scroll(request: Request, store: Store, collection: Collection, body: Body) -> Response:
    """A page of points in the order of their ids, or of a payload field."""
    return ok(request, page_json(await store.scroll(collection, parse(ScrollRequest, body))))


@router.post("/count")
async def count(request: Request, store: Store, collection: Collection, body: Body) -> Response:
    """The number of points that match."""
    return ok(request, {"count": await store.count(collection, parse(CountRequest, body))})


@router.post("/query")
async def query(request: Request, store: Store, collection: Collection, body: Body) -> Response:
    """The best points for a query."""
    hits = await store.query(collection, parse(QueryRequest, body))
    return ok(request, {"points": [hit_json(hit) for hit in hits]})


@router.post("/query/batch")
async def query_batch(
    request: Request, store: Store, collection: Collection, body: Body
) -> Response:
    """Many queries, answered in their order."""
    queries = [
        parse(QueryRequest, raw, ("searches", at))
        for at, raw in enumerate(required_list(as_object(body), "searches"))
    ]
    answers = [await store.query(collection, each) for each in queries]
    return ok(request, [{"points": [hit_json(hit) for hit in hits]} for hits in answers])


@router.post("/search")
async def search(request: Request, store: Store, collection: Collection, body: Body) -> Response:
    """The best points for a vector, as older clients ask for them."""
    hits = await store.query(collection, to_query(parse(SearchRequest, body)))
    return ok(request, [hit_json(hit) for hit in hits])


@router.post("/search/batch")
async def search_batch(
    request: Request, store: Store, collection: Collection, body: Body
) -> Response:
    """Many searches, answered in their order."""
    searches = parse(SearchRequestBatch, body).searches
    answers = [await store.query(collection, to_query(each)) for each in searches]
    return ok(request, [[hit_json(hit) for hit in hits] for hits in answers])


def _id_in_path(text: str) -> PointId:
    try:
        number = int(text) if text.isascii() and text.isdecimal() else None
        return parse_point_id(text if number is None or number > MAX_INTEGER_ID else number)
    except ValueError:
        reason = f'Can not recognize "{text}" as point id'
        raise WrongInput(reason) from None
