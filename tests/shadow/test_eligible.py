"""Which searches are compared."""

import pytest

from service.model.qdrant import QueryRequest
from shadow.eligible import is_comparable


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": [0.1, 0.2]}, True),
        ({"query": 7}, True),
        ({"query": "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"}, True),
        ({"query": {"nearest": [0.1, 0.2]}, "limit": 1000}, True),
        ({"query": {"nearest": [0.1], "mmr": {"diversity": 0.5}}}, False),
        ({"query": [0.1], "limit": 1001}, False),
        ({"query": [0.1], "offset": 10}, False),
        ({"query": [0.1], "offset": 0}, True),
        ({"query": {"sample": "random"}}, False),
        ({"query": {"fusion": "rrf"}, "prefetch": [{"query": [0.1]}]}, False),
        ({"query": [0.1], "prefetch": {"query": [0.2]}}, False),
        ({"query": 7, "lookup_from": {"collection": "other"}}, False),
        ({}, False),
    ],
)
def test_only_nearest_searches_from_the_first_hit_on(
    body: dict[str, object], expected: bool
) -> None:
    """Random, fused, paged and unbounded searches are left out."""
    assert is_comparable(QueryRequest.model_validate(body)) is expected
