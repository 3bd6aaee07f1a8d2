"""The OpenAPI document says what the endpoints take."""

import re
from pathlib import Path
from typing import Any

import pytest
from qdrant_client.http import api as clients
from starlette.testclient import TestClient

from service.api.qdrant.app import qdrant_app
from tests.fakes import MemoryStore
from tests.service.api.conftest import VERSION, Api

POINTS = "/collections/{collection_name}/points"


@pytest.fixture(scope="module")
def document() -> Any:
    """The document as it is served; to write it takes seconds."""
    store = MemoryStore()
    with TestClient(qdrant_app(store, version=VERSION, health=True)) as http:
        return Api(http, store).call("GET", "/openapi.json")[1]


def test_operations_have_qdrants_names(document: Any) -> None:
    """A path has one operation per method, each with the id that Qdrant gives it."""
    payload = document["paths"][f"{POINTS}/payload"]
    assert {method: each["operationId"] for method, each in payload.items()} == {
        "post": "set_payload",
        "put": "overwrite_payload",
    }


def test_a_request_is_described(document: Any) -> None:
    """Body and parameters come from the models; path parameters are required."""
    query = document["paths"][f"{POINTS}/query"]["post"]
    content = query["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/QueryRequest"}
    assert [(each["name"], each["in"], each["required"]) for each in query["parameters"]] == [
        ("collection_name", "path", True),
        ("consistency", "query", False),
        ("timeout", "query", False),
    ]
    assert set(query["responses"]) == {"200", "4XX", "501"}


def test_numbers_without_a_sign_say_so(document: Any) -> None:
    """The least value stands at each field that is unsigned in Qdrant."""
    limit = document["components"]["schemas"]["QueryRequest"]["properties"]["limit"]
    assert {"type": "integer", "minimum": 1} in limit["anyOf"]


def test_every_operation_of_the_official_client_is_there(document: Any) -> None:
    """Those that a store other than Qdrant answers 501 included; metrics are the service's own."""
    source = "".join(file.read_text() for file in Path(str(clients.__file__)).parent.glob("*.py"))
    asked = set(re.findall(r'method="(\w+)",\s*url="([^"]+)"', source)) - {("GET", "/metrics")}
    assert len(asked) > 60
    answered = {
        (method.upper(), _unnamed(path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert {(method, _unnamed(path)) for method, path in asked} <= answered
    old = {f"{POINTS}/{kind}" for kind in ("search", "recommend", "discover")}
    assert {("POST", _unnamed(f"{path}/batch")) for path in old} <= answered


def _unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_every_reference_leads_somewhere(document: Any) -> None:
    """No schema refers to one that is not there."""
    schemas = document["components"]["schemas"]
    assert set(_references(document)) <= {f"#/components/schemas/{name}" for name in schemas}


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [each for value in node.values() for each in _references(value)]
    if isinstance(node, list):
        return [each for value in node for each in _references(value)]
    return []
