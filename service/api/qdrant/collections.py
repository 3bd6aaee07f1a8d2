"""Endpoints of collections, their aliases, payload indexes and named vectors."""

from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.operations import parse_index
from service.api.qdrant.parameters import SCHEMA, WRITE, check_vector_name
from service.api.qdrant.requests import ApiRequest
from service.api.qdrant.vector_names import parse_vector_config
from service.api.rendering import collection_json, update_json
from service.errors import CollectionNotFound
from service.model.operations import CreateVector, DeleteIndex, DeleteVector, Operation
from service.model.qdrant import (
    ChangeAliasesOperation,
    CollectionExistence,
    CollectionInfo,
    CollectionsAliasesResponse,
    CollectionsResponse,
    CreateCollection,
    CreateFieldIndex,
    UpdateCollection,
    UpdateResult,
    VectorNameConfig,
)
from service.translate.paths import parse_path, spell

endpoints = Endpoints("Collections")

_COLLECTION = "/collections/{collection_name}"


@endpoints.on("GET /collections", "get_collections", result=CollectionsResponse)
async def list_collections(request: ApiRequest) -> Response:
    """Names of all collections."""
    names = await request.store.collections()
    return request.ok({"collections": [{"name": name} for name in names]})


@endpoints.on(f"GET {_COLLECTION}", "get_collection", result=CollectionInfo)
async def get_collection(request: ApiRequest) -> Response:
    """Status, counts and configuration."""
    return request.ok(collection_json(await request.store.collection_info(request.collection)))


@endpoints.on(
    f"PUT {_COLLECTION}",
    "create_collection",
    body=CreateCollection,
    result=bool,
    parameters=SCHEMA,
)
async def create_collection(request: ApiRequest) -> Response:
    """Create an empty collection."""
    wanted = await request.parsed(CreateCollection)
    return request.ok(await request.store.create_collection(request.collection, wanted))


@endpoints.on(
    f"PATCH {_COLLECTION}",
    "update_collection",
    body=UpdateCollection,
    result=bool,
    parameters=SCHEMA,
)
async def update_collection(request: ApiRequest) -> Response:
    """Change parameters of a collection."""
    wanted = await request.parsed(UpdateCollection)
    return request.ok(await request.store.update_collection(request.collection, wanted))


@endpoints.on(f"DELETE {_COLLECTION}", "delete_collection", result=bool, parameters=SCHEMA)
async def delete_collection(request: ApiRequest) -> Response:
    """Drop a collection; ``false`` when there is none."""
    return request.ok(await request.store.delete_collection(request.collection))


@endpoints.on(f"GET {_COLLECTION}/exists", "collection_exists", result=CollectionExistence)
async def collection_exists(request: ApiRequest) -> Response:
    """Say whether there is such a collection."""
    return request.ok({"exists": await request.store.has_collection(request.collection)})


@endpoints.on("GET /aliases", "get_collections_aliases", result=CollectionsAliasesResponse)
async def list_aliases(request: ApiRequest) -> Response:
    """Aliases of all collections."""
    return request.ok({"aliases": _aliases_json(await request.store.aliases())})


@endpoints.on(
    f"GET {_COLLECTION}/aliases", "get_collection_aliases", result=CollectionsAliasesResponse
)
async def list_collection_aliases(request: ApiRequest) -> Response:
    """Aliases of one collection, which may be named by an alias itself."""
    if not await request.store.has_collection(request.collection):
        raise CollectionNotFound(request.collection)
    aliases = await request.store.aliases()
    collection = aliases.get(request.collection, request.collection)
    own = {alias: name for alias, name in aliases.items() if name == collection}
    return request.ok({"aliases": _aliases_json(own)})


@endpoints.on(
    "POST /collections/aliases",
    "update_aliases",
    body=ChangeAliasesOperation,
    result=bool,
    parameters=SCHEMA,
)
async def update_aliases(request: ApiRequest) -> Response:
    """Make, drop and rename aliases, all or none."""
    changes = await request.parsed(ChangeAliasesOperation)
    return request.ok(await request.store.change_aliases(changes.actions))


@endpoints.on(
    f"PUT {_COLLECTION}/index",
    "create_field_index",
    body=CreateFieldIndex,
    result=UpdateResult,
    parameters=WRITE,
)
async def create_index(request: ApiRequest) -> Response:
    """Index a payload field."""
    return await _applied(request, parse_index(await request.json()))


@endpoints.on(
    f"DELETE {_COLLECTION}/index/{{field_name}}",
    "delete_field_index",
    result=UpdateResult,
    parameters=WRITE,
)
async def delete_index(request: ApiRequest) -> Response:
    """Drop the index of a payload field."""
    field = spell(parse_path(request.names["field_name"]))
    return await _applied(request, DeleteIndex(field))


@endpoints.on(
    f"PUT {_COLLECTION}/vectors/{{vector_name}}",
    "create_vector_name",
    body=VectorNameConfig,
    result=UpdateResult,
    parameters=WRITE,
)
async def create_vector(request: ApiRequest) -> Response:
    """Add a named vector to the collection."""
    name = check_vector_name(request.names["vector_name"])
    return await _applied(request, CreateVector(name, parse_vector_config(await request.json())))


@endpoints.on(
    f"DELETE {_COLLECTION}/vectors/{{vector_name}}",
    "delete_vector_name",
    result=UpdateResult,
    parameters=WRITE,
)
async def delete_vector(request: ApiRequest) -> Response:
    """Remove a named vector from the collection and from all its points."""
    name = check_vector_name(request.names["vector_name"])
    return await _applied(request, DeleteVector(name))


async def _applied(request: ApiRequest, operation: Operation) -> Response:
    result = await request.store.apply(request.collection, operation, wait=request.parameters.wait)
    return request.ok(update_json(result))


def _aliases_json(aliases: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"alias_name": alias, "collection_name": name} for alias, name in sorted(aliases.items())
    ]
