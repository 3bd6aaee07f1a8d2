"""The older search bodies."""

from typing import Any

import orjson
import pytest

from service.api.parsing import parse
from service.api.qdrant.legacy import (
    DiscoverRequest,
    RecommendGroupsRequest,
    RecommendRequest,
    SearchGroupsRequest,
    SearchRequest,
    to_groups,
    to_query,
)
from service.errors import BadRequest, MalformedBody
from service.model.qdrant import NearestQuery, QueryGroupsRequest, QueryRequest


@pytest.mark.parametrize(
    ("vector", "using", "nearest"),
    [
        ([1, 2], None, [1.0, 2.0]),
        ({"name": "a", "vector": [1, 2], "x": 0}, "a", [1.0, 2.0]),
        (
            {"name": "s", "vector": {"indices": [1], "values": [0.5]}},
            "s",
            {"indices": [1], "values": [0.5]},
        ),
    ],
)
def test_vectors(vector: Any, using: str | None, nearest: Any) -> None:
    """Bare, named and sparse vectors are a nearest query on that name."""
    body = {"vector": vector, "limit": 3, "score_threshold": 0.5, "params": {"exact": True}}
    query = to_query(parse(SearchRequest, body))
    expected = {"score_threshold": 0.5, "limit": 3, "params": {"exact": True}, "using": using}
    assert query == QueryRequest.model_validate({**expected, "query": {"nearest": nearest}})
    assert isinstance(query.query, NearestQuery)


def test_the_limit_has_no_default() -> None:
    """Qdrant wants a limit, under one of two names."""
    with pytest.raises(MalformedBody, match="missing field `limit`"):
        to_query(parse(SearchRequest, {"vector": [1]}))


UUID_ONE = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(
    ("model", "body", "query"),
    [
        (
            RecommendRequest,
            {"positive": [1, [0.5, 1]], "negative": [UUID_ONE], "lookup_from": {"collection": "d"}},
            {"recommend": {"positive": [1, [0.5, 1]], "negative": [UUID_ONE]}},
        ),
        (
            RecommendRequest,
            {"negative": [{"indices": [1], "values": [1]}], "strategy": "best_score"},
            {
                "recommend": {
                    "positive": [],
                    "negative": [{"indices": [1], "values": [1]}],
                    "strategy": "best_score",
                }
            },
        ),
        (
            DiscoverRequest,
            {"target": [1.0, 2.0], "context": [{"positive": 1, "negative": [3.0]}]},
            {
                "discover": {
                    "target": [1.0, 2.0],
                    "context": [{"positive": 1, "negative": [3.0]}],
                }
            },
        ),
        (DiscoverRequest, {"target": 5}, {"discover": {"target": 5, "context": []}}),
        (
            DiscoverRequest,
            {"context": [{"positive": 1, "negative": 2}]},
            {"context": [{"positive": 1, "negative": 2}]},
        ),
    ],
)
def test_examples(model: Any, body: Any, query: Any) -> None:
    """Examples are ids or vectors; a discovery without a target is a context search."""
    shared = {"limit": 3, "offset": 1, "with_vector": ["a"], "using": "a"}
    expected = {**shared, "query": query, "lookup_from": body.get("lookup_from")}
    got = to_query(parse(model, {**shared, **body}))
    assert got.model_dump(exclude_none=True) == QueryRequest.model_validate_json(
        orjson.dumps(expected)
    ).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (SearchGroupsRequest, {"vector": {"name": "a", "vector": [1]}}),
        (RecommendGroupsRequest, {"positive": [[1]], "using": "a"}),
    ],
)
def test_groups(model: Any, body: Any) -> None:
    """The grouping is the same in the old body and in the new one."""
    grouping = {"group_by": "k", "group_size": 2, "limit": 3, "with_lookup": "d"}
    got = to_groups(parse(model, {**body, **grouping}))
    assert isinstance(got, QueryGroupsRequest)
    assert got.model_dump(include={*grouping, "using"}) == {**grouping, "using": "a"}
    with pytest.raises(MalformedBody, match="group_size"):
        parse(model, {**body, "group_by": "k", "limit": 3})


@pytest.mark.parametrize(
    ("model", "body", "text"),
    [
        (RecommendRequest, {}, "At least one positive vector ID required with this strategy"),
        (
            RecommendRequest,
            {"negative": [1]},
            "At least one positive vector ID required with this strategy",
        ),
        (
            RecommendRequest,
            {"strategy": "sum_scores"},
            "At least one positive or negative vector ID required with this strategy",
        ),
        (DiscoverRequest, {"context": []}, "target and/or context_pairs must be specified"),
    ],
)
def test_nothing_to_compare_with(model: Any, body: Any, text: str) -> None:
    """Without examples there is nothing to look for."""
    with pytest.raises(BadRequest, match=text):
        to_query(parse(model, {**body, "limit": 1}))
