"""The application as a whole: service routes, what is not routed, errors, limits."""

import httpx
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from service.api.qdrant.app import qdrant_app
from service.errors import Overloaded
from tests.fakes import MemoryStore
from tests.service.api.conftest import VERSION, Api


def test_the_root_names_qdrant_and_the_version(api: Api) -> None:
    """Clients read the version from here, without an envelope."""
    expected = {"title": "qdrant - vector search engine", "version": VERSION}
    assert api.call("GET", "/") == (200, expected)


def test_health_is_qdrants_and_optional(api: Api, store: MemoryStore) -> None:
    """The embedded server answers health checks in plain text; behind a proxy they are its own."""
    expected = {
        "/healthz": "healthz check passed",
        "/livez": "healthz check passed",
        "/readyz": "all shards are ready",
    }
    assert {path: api.http.get(path).text for path in expected} == expected
    with TestClient(qdrant_app(store, version=VERSION)) as bare:
        assert bare.get("/healthz").status_code == 501


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collections/c/facet"),
        ("POST", "/collections/c/points/query/groups"),
        ("DELETE", "/collections/c/points/scroll"),
        ("GET", "/telemetry"),
    ],
)
def test_what_is_not_routed_is_named(api: Api, method: str, path: str) -> None:
    """An endpoint or a method that we lack is a 501 that says which."""
    status, text = api.error(method, path)
    assert status == 501
    assert text.startswith(f"Not implemented: {method} {path} ")


def test_trailing_slashes_are_trimmed(api: Api) -> None:
    """Qdrant does not mind a slash at the end, nor two."""
    assert api.result("GET", "/collections//") == {"collections": [{"name": "c"}]}


def test_a_body_over_the_limit_is_413(store: MemoryStore) -> None:
    """The given limit is enforced in the envelope of an error, and is itself still allowed."""
    with TestClient(qdrant_app(store, version=VERSION, max_body_bytes=100)) as http:
        api = Api(http, store)
        create = b'{"vectors": {"size": 2, "distance": "Dot"}}'
        assert api.call("PUT", "/collections/c", create.ljust(100))[0] == 200
        status, text = api.error("PUT", "/collections/d", create.ljust(101))
    assert status == 413
    assert "100 bytes" in text


class _Broken(MemoryStore):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def collections(self) -> list[str]:
        raise self.error


def test_an_unexpected_failure_is_500_and_logged() -> None:
    """A bug in a store ends as an envelope for the client and a log line for us."""
    app = qdrant_app(_Broken(RuntimeError("details")), version=VERSION)
    with TestClient(app) as http, capture_logs() as logs:
        got = http.get("/collections")
    assert got.status_code == 500
    assert got.json()["status"]["error"] == "Service internal error: RuntimeError"
    assert [line["event"] for line in logs] == ["request_failed"]


def test_a_full_store_says_when_to_come_back() -> None:
    """A store at its bound is 503 with Retry-After."""
    with TestClient(qdrant_app(_Broken(Overloaded("the queue is full")), version=VERSION)) as http:
        got = http.get("/collections")
    assert got.status_code == 503
    assert got.headers["retry-after"] == "1"


def test_the_description_of_the_api_is_served(api: Api) -> None:
    """The OpenAPI document lists the routes."""
    paths = api.call("GET", "/openapi.json")[1]["paths"]
    assert set(paths["/collections/{collection}/points/payload"]) == {"post", "put"}


def test_a_request_over_a_socket_is_timed(url: str) -> None:
    """``time`` is what the request took, in seconds."""
    assert 0 < httpx.get(f"{url}/collections").json()["time"] < 10
