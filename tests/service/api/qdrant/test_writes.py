"""Routes that change points."""

from typing import Any

import pytest

from tests.service.api.conftest import Api

PATH = "/collections/c/points"


def _payloads(api: Api) -> dict[Any, Any]:
    page = api.result("POST", f"{PATH}/scroll", {"limit": 100})
    return {point["id"]: point["payload"] for point in page["points"]}


@pytest.fixture
def filled(api: Api) -> Api:
    """The collection ``c`` with two points."""
    batch = {"ids": [1, 2], "vectors": [[1, 0], [0, 1]], "payloads": [{"k": "x"}, None]}
    api.result("PUT", PATH, {"batch": batch})
    return api


def test_wait_decides_the_status(api: Api) -> None:
    """``wait=false``, the default, is acknowledged; the store is told which it was."""
    body = {"points": [{"id": 1, "vector": [1, 0]}]}
    assert api.result("PUT", PATH, body) == {"operation_id": 0, "status": "acknowledged"}
    answer = api.result("PUT", f"{PATH}?wait=true&ordering=strong", body)
    assert answer == {"operation_id": 1, "status": "completed"}
    assert [waited for _, waited in api.store.applied] == [False, True]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/delete", {"points": [1]}, {2: {}}),
        (
            "POST",
            "/delete",
            {"filter": {"must": {"key": "k", "match": {"value": "x"}}}},
            {2: {}},
        ),
        ("POST", "/payload", {"payload": {"n": 1}, "points": [1]}, {1: {"k": "x", "n": 1}, 2: {}}),
        ("PUT", "/payload", {"payload": {"n": 1}, "points": [1]}, {1: {"n": 1}, 2: {}}),
        ("POST", "/payload/delete", {"keys": ["k"], "points": [1]}, {1: {}, 2: {}}),
        ("POST", "/payload/clear", {"points": [1]}, {1: {}, 2: {}}),
    ],
)
def test_each_kind_of_change(filled: Api, method: str, path: str, body: Any, expected: Any) -> None:
    """Every route does what its name says."""
    filled.result(method, f"{PATH}{path}?wait=true", body)
    assert _payloads(filled) == expected


def test_vectors_are_replaced_and_removed(filled: Api) -> None:
    """Vectors change without the payload."""
    filled.result("PUT", f"{PATH}/vectors", {"points": [{"id": 1, "vector": [3, 4]}]})
    assert filled.result("GET", f"{PATH}/1")["vector"] == [3.0, 4.0]
    filled.result("POST", f"{PATH}/vectors/delete", {"vector": [""], "points": [1]})
    point = filled.result("GET", f"{PATH}/1")
    assert (point["vector"], point["payload"]) == ({}, {"k": "x"})


def test_vectors_are_deleted_by_filter_and_by_ids(filled: Api) -> None:
    """The one request that acts on both its filter and its ids."""
    body = {"vector": [""], "points": [2], "filter": {"must": [{"has_id": [1]}]}}
    assert filled.result("POST", f"{PATH}/vectors/delete", body)["operation_id"] == 2
    assert [filled.result("GET", f"{PATH}/{n}")["vector"] for n in (1, 2)] == [{}, {}]


def test_a_batch_runs_in_order_and_keeps_what_was_done(filled: Api) -> None:
    """Operations before a failing one stay, the ones after it do not run."""
    operations: list[Any] = [
        {"set_payload": {"payload": {"n": 1}, "points": [2]}},
        {"set_payload": {"payload": {"n": 2}, "points": [99]}},
        {"delete": {"points": [1]}},
    ]
    body = {"operations": operations}
    status, text = filled.error("POST", f"{PATH}/batch", body)
    assert (status, text) == (404, "Not found: No point with id 99 found")
    assert _payloads(filled) == {1: {"k": "x"}, 2: {"n": 1}}
    del operations[1]
    assert filled.result("POST", f"{PATH}/batch?wait=true", body) == [
        {"operation_id": 2, "status": "completed"},
        {"operation_id": 3, "status": "completed"},
    ]
    assert _payloads(filled) == {2: {"n": 1}}


def test_a_malformed_batch_changes_nothing(filled: Api) -> None:
    """The whole body is understood before its first operation runs."""
    operations = [{"delete": {"points": [1]}}, {"delete": {"points": ["abc"]}}]
    status, text = filled.error("POST", f"{PATH}/batch", {"operations": operations})
    assert (status, text) == (
        400,
        (
            "Format error in JSON body: value abc is not a valid point ID, "
            "valid values are either an unsigned integer or a UUID"
        ),
    )
    assert 1 in _payloads(filled)
