"""Paths and methods become endpoints."""

import pytest
from starlette.responses import Response

from service.api.qdrant.endpoints import Endpoints
from service.api.qdrant.requests import ApiRequest
from service.api.qdrant.routing import Routes


async def _never(request: ApiRequest) -> Response:
    message = "the routes find an endpoint and do not call it"
    raise AssertionError(message)


def _routes(*routes: str) -> Routes:
    endpoints = Endpoints("Test")
    for route in routes:
        endpoints.on(route, route)(_never)
    return Routes(endpoints.all)


ROUTES = _routes(
    "GET /",
    "POST /c/aliases",
    "GET /c/{name}",
    "PUT /c/{name}",
    "POST /c/{name}/points",
    "GET /c/{name}/points/{id}",
    "POST /c/{name}/points/scroll",
)


@pytest.mark.parametrize(
    ("method", "path", "route", "names"),
    [
        ("GET", "", "GET /", {}),
        ("GET", "//", "GET /", {}),
        ("POST", "/c/aliases", "POST /c/aliases", {}),
        ("GET", "/c/aliases", "GET /c/{name}", {"name": "aliases"}),
        ("POST", "/c/aliases/points", "POST /c/{name}/points", {"name": "aliases"}),
        ("PUT", "/c//a%2Fb%20c/", "PUT /c/{name}", {"name": "a/b c"}),
        ("POST", "/c/a/points/scroll", "POST /c/{name}/points/scroll", {"name": "a"}),
        (
            "GET",
            "/c/a/points/scroll",
            "GET /c/{name}/points/{id}",
            {"name": "a", "id": "scroll"},
        ),
    ],
)
def test_found(method: str, path: str, route: str, names: dict[str, str]) -> None:
    """A literal segment goes before a variable one unless only the variable one leads to the method."""
    found = ROUTES.find(method, path)
    assert found is not None
    assert (found[0].operation, found[1]) == (route, names)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/c/a"), ("GET", "/c"), ("GET", "/c/a/points"), ("GET", "/c/a/points/1/2")],
)
def test_not_found(method: str, path: str) -> None:
    """A known path with another method is as unknown as any."""
    assert ROUTES.find(method, path) is None
