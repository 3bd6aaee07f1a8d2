"""Routes of collections, their aliases and their payload indexes."""

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import ok
from service.api.parsing import parse
from service.api.qdrant.operations import parse_index
from service.api.qdrant.requests import Body, Collection, Store, Wait, check_parameters
from service.api.rendering import collection_json, update_json
from service.errors import CollectionNotFound
from service.model.operations import DeleteIndex
from service.model.qdrant import CreateCollection, UpdateCollection

router = APIRouter(tags=["Collections"], dependencies=[Depends(check_parameters)])


@router.get("/collections")
async def list_collections(request: Request, store: Store) -> Response:
    """Names of all collections."""
    return ok(request, {"collections": [{"name": name} for name in await store.collections()]})


@router.get("/collections/{collection}")
async def get_collection(request: Request, store: Store, collection: Collection) -> Response:
    """Status, counts and configuration."""
    return ok(request, collection_json(await store.collection_info(collection)))


@router.put("/collections/{collection}")
async def create_collection(
    request: Request, store: Store, collection: Collection, body: Body
) -> Response:
    """Create an empty collection."""
    created = await store.create_collection(collection, parse(CreateCollection, body))
    return ok(request, created)


@router.patch("/collections/{collection}")
async def update_collection(
    request: Request, store: Store, collection: Collection, body: Body
) -> Response:
    """Change parameters of a collection."""
    updated = await store.update_collection(collection, parse(UpdateCollection, body))
    return ok(request, updated)


@router.delete("/collections/{collection}")
async def delete_collection(request: Request, store: Store, collection: Collection) -> Response:
    """Drop a collection; ``false`` when there is none."""
    return ok(request, await store.delete_collection(collection))


@router.get("/collections/{collection}/exists")
async def collection_exists(request: Request, store: Store, collection: Collection) -> Response:
    """Say whether there is such a collection."""
    return ok(request, {"exists": await store.has_collection(collection)})


@router.get("/aliases")
async def list_aliases(request: Request) -> Response:
    """Aliases of all collections: no store has any yet."""
    return ok(request, {"aliases": []})


@router.get("/collections/{collection}/aliases")
async def list_collection_aliases(
    request: Request, store: Store, collection: Collection
) -> Response:
    """Aliases of one collection."""
    if not await store.has_collection(collection):
        raise CollectionNotFound(collection)
    return ok(request, {"aliases": []})


@router.put("/collections/{collection}/index")
async def create_index(
    request: Request, store: Store, collection: Collection, wait: Wait, body: Body
) -> Response:
    """Index a payload field."""
    result = await store.apply(collection, parse_index(body), wait=wait)
    return ok(request, update_json(result))


@router.delete("/collections/{collection}/index/{field:path}")
async def delete_index(
    request: Request, store: Store, collection: Collection, wait: Wait, field: str
) -> Response:
    """Drop the index of a payload field."""
    result = await store.apply(collection, DeleteIndex(field), wait=wait)
    return ok(request, update_json(result))
