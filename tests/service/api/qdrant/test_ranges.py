"""Limits on values."""

from typing import Any

import pytest

from service.api.parsing import parse
from service.errors import RequestError
from service.model.qdrant import CreateCollection, QueryRequest, ScrollRequest


@pytest.mark.parametrize(
    ("model", "body", "status", "text"),
    [
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a"}]}},
            422,
            "internal.filter.must[0].match: At least one field condition must be specified",
        ),
        (
            QueryRequest,
            {"query": {"recommend": {}}},
            422,
            (
                "internal.query.recommend.positives, negatives: "
                "At least one positive or negative vector/id must be provided"
            ),
        ),
        (
            QueryRequest,
            {"query": {"nearest": [1], "mmr": {"diversity": 2}}},
            422,
            "internal.query.mmr.diversity: value 2.0 invalid, must be from 0.0 to 1.0",
        ),
        (
            QueryRequest,
            {"query": {"indices": [1], "values": []}},
            422,
            "internal.query.values: must be the same length as indices",
        ),
        (
            CreateCollection,
            {"hnsw_config": {"ef_construct": 3}},
            422,
            "hnsw_config.ef_construct: value 3 invalid, must be 4 or larger",
        ),
        (
            CreateCollection,
            {"vectors": {"a": {"size": 65_537, "distance": "Dot"}}},
            422,
            "vectors.a.size: value 65537 invalid, must be from 1 to 65536",
        ),
        (QueryRequest, {"offset": -1}, 400, "offset: invalid value: integer `-1`, expected usize"),
        (
            QueryRequest,
            {"params": {"hnsw_ef": -1}},
            400,
            "hnsw_ef: invalid value: integer `-1`, expected usize",
        ),
    ],
)
def test_out_of_range(model: Any, body: Any, status: int, text: str) -> None:
    """Every value that is out of its range is named with its path."""
    with pytest.raises(RequestError) as caught:
        parse(model, body)
    assert caught.value.status == status
    assert text in str(caught.value)


def test_the_edges_of_the_ranges_are_inside() -> None:
    """The smallest and the largest value that are allowed."""
    parse(CreateCollection, {"vectors": {"size": 65_536, "distance": "Dot"}, "shard_number": 1})
    parse(QueryRequest, {"limit": 1, "offset": 0})
    parse(ScrollRequest, {"limit": 1, "offset": 0})
