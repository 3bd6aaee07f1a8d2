"""Operations as REST calls."""

import numpy as np
import orjson
import pytest

from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    CreateVector,
    Delete,
    DeleteIndex,
    DeletePayload,
    DeleteVector,
    DeleteVectors,
    Operation,
    OverwritePayload,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import Point, SparseVector
from service.model.qdrant import DenseVectorNameConfig, Filter, UpdateMode
from service.stores.qdrant.encode import call, collection_path

IDS = ByIds((1, "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"))
POINTS = [1, "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"]
FILTER = Filter.model_validate({"must": [{"key": "a", "match": {"except": [1]}}]})
FILTER_JSON = {"must": [{"key": "a", "match": {"except": [1]}}]}
VECTOR = np.array([0.1, 0.2], dtype=np.float32)
STRIDED = np.array([[0.1, 9.0], [0.2, 9.0]], dtype=np.float32)[:, 0]
DENSE = DenseVectorNameConfig.model_validate({"dense": {"size": 3, "distance": "Dot"}})
SPARSE = SparseVector(np.array([3], dtype=np.uint32), np.array([0.5], dtype=np.float32))


@pytest.mark.parametrize(
    ("operation", "method", "path", "body"),
    [
        (
            Upsert([
                Point(1, {"": VECTOR}, {"a": None}), Point(2, {"x": STRIDED, "s": SPARSE}, {}),
            ]),
            "PUT", "/points",
            {"points": [
                {"id": 1, "vector": [0.1, 0.2], "payload": {"a": None}},
                {"id": 2, "payload": {}, "vector": {
                    "x": [0.1, 0.2], "s": {"indices": [3], "values": [0.5]}}},
            ]},
        ),
        (
            Upsert([Point(1, {}, {})], FILTER, UpdateMode.UPDATE_ONLY), "PUT", "/points",
            {"points": [{"id": 1, "vector": {}, "payload": {}}], "update_filter": FILTER_JSON,
             "update_mode": "update_only"},
        ),
        (Delete(IDS), "POST", "/points/delete", {"points": POINTS}),
        (Delete(ByFilter(FILTER)), "POST", "/points/delete", {"filter": FILTER_JSON}),
        (
            UpdateVectors([(1, {"": VECTOR})]), "PUT", "/points/vectors",
            {"points": [{"id": 1, "vector": [0.1, 0.2]}]},
        ),
        (
            DeleteVectors(IDS, ("x",)), "POST", "/points/vectors/delete",
            {"points": POINTS, "vector": ["x"]},
        ),
        (
            SetPayload(IDS, {"b": None}, "a.c"), "POST", "/points/payload",
            {"points": POINTS, "payload": {"b": None}, "key": "a.c"},
        ),
        (
            OverwritePayload(IDS, {}), "PUT", "/points/payload",
            {"points": POINTS, "payload": {}},
        ),
        (
            DeletePayload(ByFilter(FILTER), ("a",)), "POST", "/points/payload/delete",
            {"filter": FILTER_JSON, "keys": ["a"]},
        ),
        (ClearPayload(IDS), "POST", "/points/payload/clear", {"points": POINTS}),
        (
            CreateIndex("a.b", "keyword"), "PUT", "/index",
            {"field_name": "a.b", "field_schema": "keyword"},
        ),
        (
            CreateVector("b/c", DENSE), "PUT", "/vectors/b%2Fc",
            {"dense": {"size": 3, "distance": "Dot"}},
        ),
    ],
)  # fmt: skip
def test_every_operation_has_its_call(
    operation: Operation, method: str, path: str, body: dict[str, object]
) -> None:
    """Method, path and body are Qdrant's; float32 values are printed as short as they are."""
    made = call(operation)
    assert (made.method, made.path) == (method, path)
    assert made.body is not None
    assert orjson.loads(made.body) == body


def test_names_are_percent_encoded() -> None:
    """Neither a collection nor a field can break out of its path segment."""
    assert collection_path("a/b ü") == "/collections/a%2Fb%20%C3%BC"
    made = call(DeleteIndex("a/b?c"))
    assert (made.method, made.path, made.body) == ("DELETE", "/index/a%2Fb%3Fc", None)
    made = call(DeleteVector("a/b"))
    assert (made.method, made.path, made.body) == ("DELETE", "/vectors/a%2Fb", None)
