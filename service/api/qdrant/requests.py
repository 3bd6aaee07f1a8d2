"""What routes ask of a request: the store, the collection, the parameters, the body."""

from typing import Annotated, TypeAlias, cast

from fastapi import Depends
from starlette.requests import Request

from service.api.parsing import read_body
from service.api.qdrant.parameters import check_collection_name, parse_parameters
from service.api.qdrant.reading import loads
from service.ports import VectorStore


async def _store(request: Request) -> VectorStore:
    return cast("VectorStore", request.app.state.store)


async def _collection(request: Request) -> str:
    return check_collection_name(request.path_params["collection"])


async def check_parameters(request: Request) -> bool:
    """Check the query parameters and return ``wait``."""
    return parse_parameters(request.query_params).wait


async def _body(request: Request) -> object:
    return loads(await read_body(request, request.app.state.max_body_bytes))


Store: TypeAlias = Annotated[VectorStore, Depends(_store)]
Collection: TypeAlias = Annotated[str, Depends(_collection)]
Wait: TypeAlias = Annotated[bool, Depends(check_parameters)]
Body: TypeAlias = Annotated[object, Depends(_body)]
