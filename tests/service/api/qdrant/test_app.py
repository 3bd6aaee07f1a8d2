"""The application as a whole: service routes, what is not routed, errors, limits."""

import httpx
import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from service.api.qdrant.app import qdrant_app
from service.errors import Overloaded
from service.model.operations import DeleteIndex
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
        assert bare.get("/healthz").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/collections/c/points/1/2"),
        ("GET", "/collections/c/nope"),
        ("DELETE", "/collections/c/points/scroll"),
        ("POST", "/collections"),
        ("HEAD", "/collections"),
    ],
)
def test_what_qdrant_does_not_have_is_404_without_a_body(api: Api, method: str, path: str) -> None:
    """Qdrant's router takes a known path with another method for an unknown one."""
    answer = api.http.request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/snapshots"),
        ("POST", "/collections/c/snapshots"),
        ("PUT", "/collections/c/snapshots/recover"),
        ("GET", "/collections/c/shards/0/snapshot"),
    ],
)
def test_snapshots_are_refused_and_what_to_use_is_said(api: Api, method: str, path: str) -> None:
    """Files in Qdrant's own format cannot be made here."""
    status, text = api.error(method, path)
    assert status == 501
    assert text.startswith(f"Not implemented: {method} {path} ")
    assert "pg_dump" in text


def test_trailing_slashes_are_trimmed(api: Api) -> None:
    """Qdrant does not mind a slash at the end, nor two anywhere."""
    assert api.result("GET", "/collections//") == {"collections": [{"name": "c"}]}
    assert api.result("GET", "/collections//c///exists") == {"exists": True}


def test_a_name_may_hold_what_a_path_cannot(api: Api) -> None:
    """Segments are decoded one by one: an encoded slash is part of a name, and no name of a collection."""
    assert api.result("GET", "/collections/%C3%A4%20b/exists") == {"exists": False}
    assert api.error("GET", "/collections/a%2Fb")[0] == 404
    status, text = api.error("PUT", "/collections/a%2Fb", {})
    assert (status, "path parameters" in text) == (422, True)
    api.result("DELETE", "/collections/c/index/%22a%2Fb%22?wait=true")
    assert api.store.applied[-1] == (DeleteIndex('"a/b"'), True)
    status, text = api.error("DELETE", "/collections/c/index/a%2Fb?wait=true")
    assert (status, "Invalid json path: 'a/b'" in text) == (400, True)


def test_pages_of_other_origins_may_ask(api: Api) -> None:
    """Qdrant lets every origin call it."""
    asked = {"Origin": "http://page", "Access-Control-Request-Method": "POST"}
    allowed = api.http.options("/collections/c/points/query", headers=asked)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "*")
    answered = api.http.get("/collections", headers={"Origin": "http://page"})
    assert answered.headers["access-control-allow-origin"] == "*"


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


def test_a_request_over_a_socket_is_timed(url: str) -> None:
    """``time`` is what the request took, in seconds."""
    assert 0 < httpx.get(f"{url}/collections").json()["time"] < 10
