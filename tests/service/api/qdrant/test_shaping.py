"""Unknown fields, ids and dates."""

from typing import Any

import pytest

from service.api.qdrant.numbers import Aside
from service.api.qdrant.shaping import MAX_DEPTH, shape
from service.errors import MalformedBody
from service.model.qdrant import CreateCollection, Filter, QueryRequest, ScrollRequest

UUID_ONE = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        (QueryRequest, {"x": 1, "limit": 3}, {"limit": 3}),
        (QueryRequest, {"with_vectors": True}, {"with_vector": True}),
        (
            QueryRequest,
            {"query": {"nearest": UUID_ONE.upper(), "x": 1}},
            {"query": {"nearest": UUID_ONE}},
        ),
        (
            QueryRequest,
            {"query": {"recommend": {"positive": [1, UUID_ONE.upper(), [0.5]], "x": 1}}},
            {"query": {"recommend": {"positive": [1, UUID_ONE, [0.5]]}}},
        ),
        (ScrollRequest, {"offset": UUID_ONE.replace("-", "")}, {"offset": UUID_ONE}),
        (ScrollRequest, {"order_by": {"key": "t", "x": 1}}, {"order_by": {"key": "t"}}),
        (
            Filter,
            {"must": [{"has_id": [UUID_ONE.upper(), 1], "x": 1}]},
            {"must": [{"has_id": [UUID_ONE, 1]}]},
        ),
        (
            Filter,
            {"must": {"key": "t", "range": {"gte": "2020-1-1", "x": 1}}},
            {"must": {"key": "t", "range": {"gte": "2020-01-01T00:00:00+00:00"}}},
        ),
        (
            Filter,
            {"must": {"key": "t", "range": {"gte": 1, "x": 1}}},
            {"must": {"key": "t", "range": {"gte": 1}}},
        ),
        (
            CreateCollection,
            {"vectors": {"a": {"size": 1, "distance": "Dot", "x": 1}}, "metadata": {"x": 1}},
            {"vectors": {"a": {"size": 1, "distance": "Dot"}}, "metadata": {"x": 1}},
        ),
        (
            CreateCollection,
            {"vectors": {"size": 1, "distance": "Dot", "x": 1}},
            {"vectors": {"size": 1, "distance": "Dot"}},
        ),
    ],
)
def test_what_is_known_stays(model: Any, given: Any, expected: Any) -> None:
    """Unknown fields go, ids and dates get one spelling, the user's own JSON stays."""
    assert shape(given, model, (), Aside()) == expected


@pytest.mark.parametrize(
    "condition", [{"x": 1}, {"match": {"value": 1}}, {"must": [], "x": 1}, {"key": "a", "must": 1}]
)
def test_a_filter_never_loses_a_part(condition: Any) -> None:
    """A condition that is not understood is an error or stays visible, never an empty filter."""
    try:
        shaped = shape({"must": [condition]}, Filter, (), Aside())
    except MalformedBody:
        return
    assert shaped == {"must": [{"key": "a"}]}


def test_depth_is_bounded() -> None:
    """A body nested deeper than Qdrant reads is refused and does not exhaust the stack."""
    deep: Any = {"key": "a", "match": {"value": 1}}
    for _ in range(MAX_DEPTH):
        deep = {"must": [deep]}
    with pytest.raises(MalformedBody, match="recursion limit exceeded"):
        shape(deep, Filter, (), Aside())
