"""Limits on values."""

from typing import Any

import pytest

from service.api.parsing import parse
from service.errors import RequestError
from service.model.qdrant import (
    CreateCollection,
    CreateFieldIndex,
    Filter,
    QueryGroupsRequest,
    QueryRequest,
    ScrollRequest,
    SearchMatrixRequest,
)

FAR = {"lon": 181, "lat": 0}
OPEN = {"points": [{"lon": lon, "lat": 0} for lon in range(4)]}


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
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a", "match": {"value": 2**63}}]}},
            400,
            "value: invalid value: integer `9223372036854775808`, expected i64",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a", "match": {"except": [1, 2**63]}}]}},
            400,
            "expected i64",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"slice": {"total": 2, "index": 2}}]}},
            422,
            "internal.filter.must[0].slice.index: value 2 invalid, must be less than total (2)",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a", "geo_polygon": {"exterior": {"points": []}}}]}},
            400,
            "polygon invalid, the size must be at least 4, got 0",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"is_null": {"key": "a..b"}}]}},
            400,
            "Invalid json path: 'a..b'",
        ),
        (
            QueryRequest,
            {"query": {"indices": [-1], "values": [1]}},
            400,
            "indices: invalid value: integer `-1`, expected u32",
        ),
        (
            QueryGroupsRequest,
            {"group_by": "k", "group_size": 0},
            422,
            "search_group_request.group_request.group_size: value 0 invalid, must be 1 or larger",
        ),
        (
            SearchMatrixRequest,
            {"sample": 1},
            422,
            "search_request.sample: value 1 invalid, must be 2 or larger",
        ),
        (
            QueryRequest,
            {"query": {"rrf": {"k": 0}}},
            422,
            "internal.query.rrf.k: value 0 invalid, must be 1 or larger",
        ),
        (
            QueryRequest,
            {"query": {"nearest": [1], "mmr": {"candidates_limit": 16_385}}},
            422,
            "internal.query.mmr.candidates_limit: value 16385 invalid, must be 16384 or smaller",
        ),
        (
            CreateCollection,
            {"optimizers_config": {"deleted_threshold": 1.5}},
            422,
            "optimizers_config.deleted_threshold: value 1.5 invalid, must be from 0.0 to 1.0",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a", "geo_polygon": {"exterior": OPEN}}]}},
            400,
            "the first and the last points should be the same to form a closed line",
        ),
        (
            QueryRequest,
            {"filter": {"must": [{"key": "a", "geo_radius": {"center": FAR, "radius": 1}}]}},
            400,
            "expected `lat` = 0 within [-90;90] and `lon` = 181 within [-180;180]",
        ),
        (
            QueryRequest,
            {"query": {"indices": [1, 1], "values": [1, 2]}},
            422,
            "internal.query.indices: must be unique",
        ),
        (
            QueryRequest,
            {"params": {"quantization": {"oversampling": 0.5}}},
            422,
            "oversampling: value 0.5 invalid, must be 1.0 or larger",
        ),
        (QueryGroupsRequest, {"group_by": "a..b"}, 400, "Invalid json path: 'a..b'"),
        (ScrollRequest, {"order_by": {"key": "a..b"}}, 400, "Invalid json path: 'a..b'"),
        (
            CreateFieldIndex,
            {
                "field_name": "a",
                "field_schema": {"type": "integer", "lookup": False, "range": False},
            },
            422,
            "the 'lookup' and 'range' capabilities can't be both disabled",
        ),
        (
            CreateCollection,
            {"strict_mode_config": {"max_points_count": 0}},
            422,
            "strict_mode_config.max_points_count: value 0 invalid, must be 1 or larger",
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


def test_limits_beyond_all_collections() -> None:
    """Qdrant takes whatever fits 64 bits; here more than any collection holds is as good as all."""
    huge = {"limit": 2**64 - 1, "offset": 2**63}
    parsed = parse(QueryRequest, huge)
    assert (parsed.limit, parsed.offset) == (2**31 - 1, 2**31 - 1)
    assert parse(ScrollRequest, huge).offset == 2**63
    values = {"must": [{"key": "a", "values_count": {"lt": 2**63}}]}
    assert parse(Filter, values).must[0].values_count.lt == 2**31 - 1  # type: ignore[union-attr, index]
