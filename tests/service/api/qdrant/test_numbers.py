"""Vectors go around the models and end where they belong."""

from typing import Any

import pytest

from service.api.parsing import parse
from service.api.qdrant.legacy import SearchRequest
from service.errors import MalformedBody
from service.model.qdrant import QueryRequest

LONG = [at / 7 for at in range(40)]
ROWS = [LONG, LONG[::-1]]


@pytest.mark.parametrize("vector", [LONG, ROWS, [*LONG, 1], [[1, 2]]])
@pytest.mark.parametrize(
    ("model", "body", "path"),
    [
        (QueryRequest, lambda v: {"query": v}, "query"),
        (QueryRequest, lambda v: {"query": {"nearest": v}}, "query.nearest"),
        (
            QueryRequest,
            lambda v: {"query": {"nearest": v, "mmr": {"diversity": 0.1}}},
            "query.nearest",
        ),
        (QueryRequest, lambda v: {"prefetch": {"query": v}}, "prefetch.query"),
        (
            QueryRequest,
            lambda v: {"prefetch": [{"query": 1}, {"prefetch": [{"query": v}]}]},
            "prefetch.1.prefetch.0.query",
        ),
        (
            QueryRequest,
            lambda v: {"query": {"recommend": {"positive": [1, v], "negative": [v]}}},
            "query.recommend.positive.1",
        ),
        (
            QueryRequest,
            lambda v: {"query": {"context": [{"positive": 1, "negative": v}]}},
            "query.context.0.negative",
        ),
    ],
)
def test_the_vector_ends_in_its_place(model: Any, body: Any, path: str, vector: Any) -> None:
    """Also below a place of its own, as in a batch."""
    assert _at(parse(model, body(vector)), path) == vector
    assert _at(parse(model, body(vector), ("searches", 3)), path) == vector


def test_a_named_vector_of_the_older_search() -> None:
    """The vector that stands beside its name."""
    body = {"vector": {"name": "a", "vector": LONG}, "limit": 1}
    assert _at(parse(SearchRequest, body), "vector.vector") == LONG


@pytest.mark.parametrize(
    "vector",
    [[*LONG, True], [*LONG, "1"], [*LONG, None], [*LONG, [1]], [LONG, [*LONG, True]], [LONG, 1]],
)
def test_no_wrong_number_gets_through(vector: Any) -> None:
    """What is no number is found in a list of any length."""
    with pytest.raises(MalformedBody, match="query"):
        parse(QueryRequest, {"query": vector})


def _at(node: Any, path: str) -> Any:
    for step in path.split("."):
        node = node[int(step)] if step.isdecimal() else getattr(node, step)
    return node
