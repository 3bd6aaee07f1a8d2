"""The older search bodies."""

from typing import Any

import pytest

from service.api.parsing import parse
from service.api.qdrant.legacy import SearchRequest, to_query
from service.errors import MalformedBody
from service.model.qdrant import NearestQuery, QueryRequest


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
