"""Routes of collections, aliases and indexes."""

from typing import Any

import pytest

from service.model.operations import CreateIndex, DeleteIndex
from tests.service.api.conftest import Api

NAMED = {"vectors": {"a": {"size": 3, "distance": "Cosine"}}, "sparse_vectors": {"s": {}}}


def test_create_describe_drop(api: Api) -> None:
    """A collection is there after it was made and gone after it was dropped."""
    assert api.result("PUT", "/collections/named?timeout=5", NAMED) is True
    assert api.result("GET", "/collections/named/exists") == {"exists": True}
    info = api.result("GET", "/collections/named")
    assert info["config"]["params"]["vectors"] == {"a": {"size": 3, "distance": "Cosine"}}
    assert (info["status"], info["optimizer_status"]) == ("green", "ok")
    assert api.result("PATCH", "/collections/named", {"params": {"replication_factor": 1}}) is True
    assert api.result("DELETE", "/collections/named") is True
    assert api.result("DELETE", "/collections/named") is False
    assert api.result("GET", "/collections/named/exists") == {"exists": False}


def test_texts_of_missing_and_existing(api: Api) -> None:
    """Qdrant's own texts for a collection that is not there, and one that is."""
    assert api.error("GET", "/collections/x") == (
        404,
        "Not found: Collection `x` doesn't exist!",
    )
    assert api.error("PUT", "/collections/c", {}) == (
        409,
        "Wrong input: Collection `c` already exists!",
    )


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (
            {"vectors": {"size": 0, "distance": "Dot"}},
            422,
            (
                "Validation error in JSON body: "
                "[vectors.size: value 0 invalid, must be from 1 to 65536]"
            ),
        ),
        (
            {"vectors": {"size": 4, "distance": "Far"}},
            400,
            (
                "Format error in JSON body: vectors.distance: Input should be 'Cosine', 'Euclid', "
                "'Dot' or 'Manhattan'"
            ),
        ),
        (
            {"shard_number": 0},
            422,
            "Validation error in JSON body: [shard_number: value 0 invalid, must be 1 or larger]",
        ),
    ],
)
def test_wrong_configurations(api: Api, body: Any, status: int, text: str) -> None:
    """A configuration that makes no sense is refused with its place."""
    assert api.error("PUT", "/collections/new", body) == (status, text)


def test_a_bad_name_is_422(api: Api) -> None:
    """A name that no file system takes is refused before the store sees it."""
    status, text = api.error("PUT", "/collections/a%3Ab", {})
    assert status == 422
    assert text == (
        'Validation error in path parameters: [collection_name: collection name cannot contain ":" char]'
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a%3Ab", 'vector name cannot contain ":" char'),
        ("%7C%3C", 'vector name cannot contain "<" char'),
        ("%C3%9F" * 101, "vector name must be at most 200 bytes long"),
    ],
)
def test_a_bad_name_of_a_vector_is_422(api: Api, name: str, reason: str) -> None:
    """Counted are bytes, and told is the first of the forbidden characters, not of the name."""
    path = f"/collections/c/vectors/{name}"
    text = f"Validation error in path parameters: [vector_name: {reason}]"
    assert api.error("DELETE", path) == (422, text)


def test_aliases_are_empty(api: Api) -> None:
    """No store has aliases; asking for those of a missing collection is still an error."""
    assert api.result("GET", "/aliases") == {"aliases": []}
    assert api.result("GET", "/collections/c/aliases") == {"aliases": []}
    assert api.error("GET", "/collections/x/aliases")[0] == 404


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"field_schema": "keyword"}, "keyword"),
        ({"field_type": "keyword"}, "keyword"),
        (
            {"field_schema": {"type": "integer", "lookup": True, "range": False, "x": 1}},
            {"type": "integer", "lookup": True, "range": False},
        ),
    ],
)
def test_indexes(api: Api, given: dict[str, Any], expected: Any) -> None:
    """A schema is a type's name or an object; unknown fields are dropped."""
    body = {"field_name": "a.b", **given}
    result = api.result("PUT", "/collections/c/index?wait=true", body)
    assert result == {"operation_id": 0, "status": "completed"}
    result = api.result("DELETE", "/collections/c/index/a.b")
    assert result == {"operation_id": 1, "status": "acknowledged"}
    (made, waited), (dropped, _) = api.store.applied
    assert isinstance(made, CreateIndex)
    assert (made.field, made.schema, waited) == ("a.b", expected, True)
    assert isinstance(dropped, DeleteIndex)
    assert dropped.field == "a.b"


def test_an_index_needs_a_schema(api: Api) -> None:
    """Qdrant's text for an index without a type."""
    assert api.error("PUT", "/collections/c/index", {"field_name": "a"}) == (
        400,
        "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
    )


def test_query_parameters_are_checked(api: Api) -> None:
    """A time-out that makes no sense is refused before anything is created."""
    status, text = api.error("PUT", "/collections/new?timeout=0", {})
    assert status == 422
    assert "in query parameters: [timeout: value 0 invalid, must be 1 or larger]" in text
    assert api.result("GET", "/collections/new/exists") == {"exists": False}
