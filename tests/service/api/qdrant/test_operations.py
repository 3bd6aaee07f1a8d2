"""Bodies become operations."""

from typing import Any

import pytest

from service.api.qdrant.kinds import WriteKind
from service.api.qdrant.operations import parse_batch, parse_operation
from service.errors import RequestError
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    Delete,
    DeletePayload,
    DeleteVectors,
    OverwritePayload,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.qdrant import Filter

UUID_ONE = "00000000-0000-0000-0000-000000000001"
IDS = ByIds((1, UUID_ONE))
POINTS = [1, "{" + UUID_ONE + "}"]


def test_ids_win_over_a_filter() -> None:
    """Where both are given Qdrant takes the ids."""
    body = {"points": POINTS, "filter": {"must": []}}
    assert parse_operation(WriteKind.DELETE, body) == (Delete(IDS),)
    assert parse_operation(WriteKind.CLEAR_PAYLOAD, body) == (ClearPayload(IDS),)


def test_a_filter_alone_selects_by_filter() -> None:
    """Without ids the filter is kept as a filter."""
    (operation,) = parse_operation(WriteKind.DELETE, {"filter": {"must": []}})
    assert operation == Delete(ByFilter(Filter(must=[])))


def test_payload_operations_keep_payload_key_and_names() -> None:
    """What is to be set and where arrives as it was written."""
    body = {"payload": {"a": None, "b": {"c": [1.5]}}, "points": POINTS, "key": "x.y"}
    (merge,) = parse_operation(WriteKind.SET_PAYLOAD, body)
    (replace,) = parse_operation(WriteKind.OVERWRITE_PAYLOAD, body)
    (remove,) = parse_operation(WriteKind.DELETE_PAYLOAD, {"keys": ["a"], "points": POINTS})
    assert isinstance(merge, SetPayload)
    assert isinstance(replace, OverwritePayload)
    for operation in (merge, replace):
        assert operation.selector == IDS
        assert operation.payload == body["payload"]
        assert operation.key == "x.y"
    assert remove == DeletePayload(IDS, ("a",))


def test_deleting_vectors_by_both_is_two_operations() -> None:
    """Qdrant runs the filter first, then the ids."""
    body = {"vector": ["v"], "points": POINTS, "filter": {"must": []}}
    assert parse_operation(WriteKind.DELETE_VECTORS, body) == (
        DeleteVectors(ByFilter(Filter(must=[])), ("v",)),
        DeleteVectors(IDS, ("v",)),
    )


def test_a_batch_has_every_kind() -> None:
    """Each entry is read by its own key."""
    point = {"id": 1, "vector": [1]}
    bodies: dict[WriteKind, Any] = {
        WriteKind.UPSERT: {"points": [point]},
        WriteKind.DELETE: {"points": [1]},
        WriteKind.UPDATE_VECTORS: {"points": [point]},
        WriteKind.DELETE_VECTORS: {"points": [1], "vector": ["v"]},
        WriteKind.SET_PAYLOAD: {"points": [1], "payload": {}},
        WriteKind.OVERWRITE_PAYLOAD: {"points": [1], "payload": {}},
        WriteKind.DELETE_PAYLOAD: {"points": [1], "keys": []},
        WriteKind.CLEAR_PAYLOAD: {"points": [1]},
    }
    batch = parse_batch({"operations": [{kind.value: body} for kind, body in bodies.items()]})
    assert [type(operation) for (operation,) in batch] == [
        Upsert,
        Delete,
        UpdateVectors,
        DeleteVectors,
        SetPayload,
        OverwritePayload,
        DeletePayload,
        ClearPayload,
    ]
    assert set(bodies) == set(WriteKind)


@pytest.mark.parametrize(
    ("kind", "body", "status", "text"),
    [
        ("delete", {"points": []}, 400, "Bad request: Empty update request"),
        (
            "delete",
            {},
            400,
            "Format error in JSON body: Either list of point ids or filter must be provided",
        ),
        (
            "set_payload",
            {"payload": {}},
            400,
            "Format error in JSON body: Either list of point ids or filter must be provided",
        ),
        (
            "set_payload",
            {"points": [1]},
            400,
            "Format error in JSON body: missing field `payload`",
        ),
        ("delete_vectors", {"vector": ["v"]}, 400, "Bad request: No filter or points provided"),
        (
            "delete_vectors",
            {"vector": [], "points": [1]},
            422,
            "Validation error in JSON body: [vector: must specify vector names to delete]",
        ),
        (
            "delete",
            {"filter": {"must": [{"key": "a"}]}},
            422,
            (
                "Validation error in JSON body: "
                "[filter.must[0].match: At least one field condition must be specified]"
            ),
        ),
        (
            "delete",
            {"points": [1], "shard_key": "eu"},
            501,
            "Not implemented: shard_key needs custom sharding, we have none",
        ),
        ("delete", [], 400, "Format error in JSON body: Input should be an object"),
    ],
)
def test_refusals(kind: str, body: Any, status: int, text: str) -> None:
    """What cannot be done is refused before the store is asked."""
    with pytest.raises(RequestError) as caught:
        parse_operation(WriteKind(kind), body)
    assert (caught.value.status, str(caught.value)) == (status, text)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"explode": {}}, "operations[0]: expected exactly one of `upsert`"),
        (
            {"delete": {"points": [1]}, "upsert": {}},
            "operations[0]: expected exactly one of `upsert`",
        ),
        ({"upsert": {"points": [{"id": 1}]}}, "operations[0].upsert.points[0]: missing field"),
    ],
)
def test_refusals_in_a_batch(entry: Any, text: str) -> None:
    """The place of a mistake starts at the operation it is in."""
    with pytest.raises(RequestError) as caught:
        parse_batch({"operations": [entry]})
    assert str(caught.value).startswith(f"Format error in JSON body: {text}")
