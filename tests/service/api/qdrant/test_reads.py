"""Routes that read points."""

from typing import Any

import pytest

from tests.service.api.conftest import Api

UUID_ONE = "00000000-0000-0000-0000-000000000001"
POINTS: list[dict[str, Any]] = [
    {"id": 1, "vector": [1, 0], "payload": {"k": "x"}},
    {"id": 2, "vector": [0.6, 0.8]},
    {"id": UUID_ONE, "vector": [0, 1], "payload": {"k": "y"}},
]


@pytest.fixture
def filled(api: Api) -> Api:
    """The collection ``c`` with three points."""
    api.result("PUT", "/collections/c/points?wait=true", {"points": POINTS})
    return api


@pytest.mark.parametrize("spelled", ["1", UUID_ONE, UUID_ONE.replace("-", "").replace("1", "F")])
def test_a_point_by_path(filled: Api, spelled: str) -> None:
    """A digit string is the integer; a point comes with payload and vector, or is a 404."""
    status, answer = filled.call("GET", f"/collections/c/points/{spelled}")
    if "F" in spelled:
        lower = UUID_ONE.replace("1", "f")
        assert status == 404
        assert answer["status"]["error"] == f"Not found: Point with id {lower} does not exists!"
    else:
        assert answer["result"]["payload"]
        assert answer["result"]["vector"]


def test_a_bad_id_in_the_path(filled: Api) -> None:
    """Qdrant's text for an id that is neither number nor UUID."""
    assert filled.error("GET", "/collections/c/points/abc") == (
        400,
        'Wrong input: Can not recognize "abc" as point id',
    )


def test_retrieve_gives_only_what_is_asked_for(filled: Api) -> None:
    """Neither payload nor vectors come by themselves; the order is the request's."""
    ask: dict[str, Any] = {"ids": [UUID_ONE.upper(), 1, 9]}
    path = "/collections/c/points"
    assert filled.result("POST", path, ask) == [{"id": UUID_ONE}, {"id": 1}]
    ask |= {"with_payload": True, "with_vectors": True}
    assert filled.result("POST", path, ask)[1] == POINTS[0]


def test_scroll_in_pages(filled: Api) -> None:
    """A page has payloads by default and names the first id of the next one."""
    path = "/collections/c/points/scroll"
    page = filled.result("POST", path, {"limit": 2})
    assert page["next_page_offset"] == UUID_ONE
    assert page["points"][1] == {"id": 2, "payload": {}}
    last = filled.result("POST", path, {"limit": 2, "offset": page["next_page_offset"]})
    assert [point["id"] for point in last["points"]] == [UUID_ONE]
    assert last["next_page_offset"] is None


def test_count_with_a_filter(filled: Api) -> None:
    """The filter, its unknown fields dropped, reaches the store."""
    body = {"filter": {"must": [{"key": "k", "match": {"value": "x"}, "comment": 1}]}}
    assert filled.result("POST", "/collections/c/points/count", body) == {"count": 1}


@pytest.mark.parametrize("query", [[1, 0], {"nearest": [1.0, 0]}, 1, {"nearest": 1}])
def test_query(filled: Api, query: Any) -> None:
    """Vectors, also of integers, and ids are queries; payload and vector are not answered."""
    points = filled.result("POST", "/collections/c/points/query", {"query": query, "limit": 2})
    assert points == {
        "points": [{"id": 1, "version": 0, "score": 1.0}, {"id": 2, "version": 0, "score": 0.6}]
    }


def test_query_batch(filled: Api) -> None:
    """The answers come in the order of the queries."""
    searches = [{"query": [1, 0], "limit": 1}, {"query": [0, 1], "limit": 1}]
    answers = filled.result("POST", "/collections/c/points/query/batch", {"searches": searches})
    assert [[hit["id"] for hit in each["points"]] for each in answers] == [[1], [UUID_ONE]]


def test_older_searches(filled: Api) -> None:
    """The older body means the same query; its result is a bare list."""
    body = {"vector": [1, 0], "top": 1, "with_payload": True, "with_vector": True}
    hit = {"version": 0, "score": 1.0, **POINTS[0]}
    assert filled.result("POST", "/collections/c/points/search", body) == [hit]
    batch = {"searches": [body, {"vector": [1, 0], "limit": 1, "offset": 1}]}
    answers = filled.result("POST", "/collections/c/points/search/batch", batch)
    assert answers == [[hit], [{"id": 2, "version": 0, "score": 0.6}]]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("scroll", {"limit": 0}, "scroll_request.limit"),
        ("query", {"limit": 0}, "internal.limit"),
        ("query/batch", {"searches": [{}, {"limit": 0}]}, "searches[1].internal.limit"),
        ("search", {"vector": [1, 0], "limit": 0}, "search_request.limit"),
        ("query", {"prefetch": {"limit": 0}}, "internal.prefetch.limit"),
    ],
)
def test_a_limit_of_zero_is_422(filled: Api, path: str, body: Any, field: str) -> None:
    """Qdrant names the inner part of the request in these texts."""
    assert filled.error("POST", f"/collections/c/points/{path}", body) == (
        422,
        f"Validation error in JSON body: [{field}: value 0 invalid, must be 1 or larger]",
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "input"),
        (b'{"limit": 3', "unexpected end of data"),
        (b'{"query": [NaN, 1]}', "unexpected"),
        (b'{"query": [Infinity, 1]}', "unexpected"),
        (b'{"limit": 3,}', "trailing comma"),
        (b'{"limit": -1}', "limit: invalid value: integer `-1`, expected usize"),
    ],
)
def test_malformed_bodies_are_400(filled: Api, body: bytes, text: str) -> None:
    """What is no JSON, or not of the right type, is refused as a matter of format."""
    status, error = filled.error("POST", "/collections/c/points/query", body)
    assert status == 400
    assert error.startswith("Format error in JSON body: ")
    assert text in error.lower()


def test_a_missing_collection_is_404(api: Api) -> None:
    """Reads of a collection that is not there."""
    assert api.error("POST", "/collections/x/points/query", {"query": [1, 0]}) == (
        404,
        "Not found: Collection `x` doesn't exist!",
    )


def test_wrong_query_parameters_are_refused(filled: Api) -> None:
    """Parameters are checked on reads as well."""
    status, text = filled.error("POST", "/collections/c/points/count?consistency=some", {})
    assert status == 400
    assert text.startswith("Deserialize error in query parameters: failed to deserialize read")
