"""The dry run of a collection's schema, below ``/v1/control/collections/{name}/schema``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated

from fastapi import APIRouter, Path

Describe = Callable[[str], Awaitable[Mapping[str, object]]]
"""Says what the target would make of a collection, as JSON values."""


def schema_routes(describe: Describe, prefix: str) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix=prefix)

    @router.get("/collections/{name}/schema")
    async def schema(name: Annotated[str, Path(min_length=1)]) -> Mapping[str, object]:
        return await describe(name)

    return router
