"""The OpenAPI document of the API, generated from the request models.

FastAPI writes it, from functions that stand for the endpoints and are never called: each has the parameters and the
body of its endpoint in its signature.
"""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from functools import cached_property
from typing import Annotated, Any, cast

from fastapi import Body, FastAPI, Path, Query
from pydantic import BaseModel, create_model
from starlette.responses import Response

from service.api.envelope import dumps
from service.api.qdrant.endpoints import Endpoint
from service.api.qdrant.requests import ApiRequest
from service.api.qdrant.unsigned import UNSIGNED
from service.model.qdrant import ErrorResponse, ReadConsistencyType, VersionInfo, WriteOrdering

_PARAMETERS: dict[str, Any] = {
    "wait": Annotated[bool | None, Query(description="Answer when the change is visible.")],
    "ordering": Annotated[WriteOrdering | None, Query(description="About replicas: ignored.")],
    "timeout": Annotated[int | None, Query(ge=1, description="Seconds.")],
    "consistency": Annotated[
        Annotated[int, Query(ge=1)] | ReadConsistencyType | None,
        Query(description="About replicas: ignored."),
    ],
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorResponse, "description": "The request is wrong."},
    501: {"model": ErrorResponse, "description": "Not available on this store."},
}


class Document:
    """Writes the document of these endpoints, once, when it is first asked for."""

    def __init__(self, endpoints: Sequence[Endpoint], *, version: str) -> None:
        self._endpoints = endpoints
        self._version = version

    def endpoint(self) -> Endpoint:
        """Return the endpoint that serves it."""

        async def document(_: ApiRequest) -> Response:
            return Response(self._written, media_type="application/json")

        return Endpoint("GET", "/openapi.json", document, "openapi", "Service")

    @cached_property
    def _written(self) -> bytes:
        return dumps(openapi(self._endpoints, self._version))


def openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI document of the endpoints."""
    app = FastAPI(title="Qdrant REST API", version=version)
    for endpoint in endpoints:
        app.add_api_route(
            endpoint.path,
            _stand_in(endpoint),
            methods=[endpoint.method],
            operation_id=endpoint.operation,
            summary=inspect.getdoc(endpoint.handle),
            tags=[endpoint.tag],
            response_model=_answer(endpoint),
            responses=_ERRORS,
        )
    document = app.openapi()
    _mend(document)
    return document


def _stand_in(endpoint: Endpoint) -> Callable[..., Coroutine[Any, Any, None]]:
    """Return a function whose signature is the endpoint's request."""
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    annotations = {name: Annotated[str, Path(min_length=1)] for name in names}
    annotations |= {name: _PARAMETERS[name] for name in sorted(endpoint.parameters)}
    if endpoint.body is not None:
        annotations["body"] = Annotated[endpoint.body, Body()]

    async def stand_in(**_: object) -> None: ...

    required = {*names, "body"}
    stand_in.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what inspect reads
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=inspect.Parameter.empty if name in required else None,
            )
            for name, annotation in annotations.items()
        ]
    )
    return stand_in


def _answer(endpoint: Endpoint) -> object:
    if endpoint.result in {None, str, VersionInfo}:
        return endpoint.result
    return create_model(
        f"{endpoint.operation}_response",
        __base__=BaseModel,
        result=(cast("type", endpoint.result), ...),
        status=(str, ...),
        time=(float, ...),
    )


def _mend(document: dict[str, Any]) -> None:
    """Say what the models do not: which numbers have no sign; and not what is not so: FastAPI's own errors."""
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            if name in UNSIGNED:
                for member in field.get("anyOf", [field]):
                    if member.get("type") == "integer":
                        member["minimum"] = UNSIGNED[name]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            if operation["responses"].get("422", {}).get("description") == "Validation Error":
                del operation["responses"]["422"]
