"""Strict mode: what a collection's own limits forbid, in Qdrant's words."""

from typing import Any

import numpy as np
import pytest

from service.api.parsing import parse
from service.errors import BadRequest, RateLimited
from service.model.operations import (
    ByFilter,
    CreateIndex,
    Delete,
    DeleteIndex,
    Operation,
    UpdateVectors,
    Upsert,
)
from service.model.points import UNNAMED, Point, SparseVector
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    FacetRequest,
    Filter,
    HnswConfigDiff,
    PointRequest,
    QueryGroupsRequest,
    QueryRequest,
    ScrollRequest,
    SearchMatrixRequest,
)
from service.queries.strict.mode import Asked, StrictMode, asked, check_points_count, counts_points
from service.queries.strict.rates import Rates

VECTORS = {"vectors": {"size": 2, "distance": "Dot"}}
IDS = {"must": [{"has_id": [1, 2]}]}
CITY = {"must": [{"key": "city", "match": {"value": "Berlin"}}]}


def _config(limits: Any, **more: Any) -> CreateCollection:
    return parse(
        CreateCollection,
        {**VECTORS, **more, "strict_mode_config": {"enabled": True, **limits}},
    )


def _refusal(config: CreateCollection, request: Any, schema: Any = None) -> str:
    with pytest.raises(BadRequest) as caught:
        StrictMode().check_read("c", config, schema or {}, request)
    return str(caught.value)


@pytest.mark.parametrize(
    ("limits", "model", "body", "text"),
    [
        (
            {"max_query_limit": 3},
            QueryRequest,
            {"limit": 4},
            ('Limit exceeded 4 > 3 for "limit". Help: Reduce the "limit" parameter to or below 3.'),
        ),
        (
            {"max_query_limit": 3},
            ScrollRequest,
            {},
            (
                'Limit exceeded 10 > 3 for "limit". Help: '
                'Reduce the "limit" parameter to or below 3.'
            ),
        ),
        (
            {"max_query_limit": 15},
            QueryGroupsRequest,
            {"group_by": "k", "limit": 10, "group_size": 3},
            (
                'Limit exceeded 30 > 15 for "limit". Help: '
                'Reduce the "limit" parameter to or below 15.'
            ),
        ),
        (
            {"max_query_limit": 15},
            SearchMatrixRequest,
            {"sample": 10, "limit": 2},
            (
                'Limit exceeded 20 > 15 for "limit". Help: '
                'Reduce the "limit" parameter to or below 15.'
            ),
        ),
        (
            {"search_allow_exact": False},
            QueryRequest,
            {"params": {"exact": True}},
            "Exact search disabled!. Help: Set exact=false.",
        ),
        (
            {"search_max_hnsw_ef": 5},
            QueryRequest,
            {"params": {"hnsw_ef": 6}},
            (
                'Limit exceeded 6 > 5 for "hnsw_ef". Help: '
                'Reduce the "hnsw_ef" parameter to or below 5.'
            ),
        ),
        (
            {"search_max_oversampling": 1.5},
            QueryRequest,
            {"params": {"quantization": {"oversampling": 2.0}}},
            (
                'Limit exceeded 2 > 1.5 for "oversampling". Help: '
                'Reduce the "oversampling" parameter to or below 1.5.'
            ),
        ),
        (
            {"unindexed_filtering_retrieve": False},
            CountRequest,
            {"filter": CITY},
            (
                'Index required but not found for "city" of one of the following types: [keyword]. '
                "Help: Create an index for this key or use a different filter."
            ),
        ),
        (
            {"unindexed_filtering_retrieve": False},
            FacetRequest,
            {"key": "k", "filter": {"must_not": [{"key": "n", "range": {"gt": 1}}]}},
            (
                'Index required but not found for "n" of one of the following types: '
                "[float, integer]. "
                "Help: Create an index for this key or use a different filter."
            ),
        ),
        (
            {"unindexed_filtering_retrieve": False},
            QueryRequest,
            {"prefetch": {"limit": 1}, "query": {"formula": {"sum": ["price", "$score"]}}},
            (
                'Index required but not found for "price" of one of the following types: '
                "[float, integer]. "
                "Help: Create an index for this key or use a different formula expression."
            ),
        ),
        (
            {"unindexed_filtering_retrieve": False},
            QueryGroupsRequest,
            {"group_by": "k"},
            (
                'Index required but not found for "k". Help: '
                "Create an index supporting `match` for this key."
            ),
        ),
        (
            {"filter_max_conditions": 1},
            QueryRequest,
            {"filter": {"must": [{"nested": {"key": "a", "filter": {"must": [CITY, CITY]}}}]}},
            (
                "Filter condition limit reached (2 > 1). "
                "Help: Reduce the amount of conditions of your filter."
            ),
        ),
        (
            {"max_query_limit": 3},
            QueryRequest,
            {"prefetch": {"prefetch": {"limit": 4}, "limit": 1}, "limit": 1},
            ('Limit exceeded 4 > 3 for "limit". Help: Reduce the "limit" parameter to or below 3.'),
        ),
        (
            {"unindexed_filtering_retrieve": False},
            QueryRequest,
            {"prefetch": [{"filter": CITY}], "query": {"fusion": "rrf"}},
            (
                'Index required but not found for "city" of one of the following types: [keyword]. '
                "Help: Create an index for this key or use a different filter."
            ),
        ),
        (
            {"condition_max_size": 1},
            CountRequest,
            {"filter": {"must_not": [{"nested": {"key": "a", "filter": IDS}}]}},
            "Condition size limit reached (2 > 1). Help: Reduce the size of your condition.",
        ),
        (
            {"condition_max_size": 2},
            QueryRequest,
            {"filter": {"should": [{"key": "n", "match": {"any": [1, 2, 3]}}]}},
            "Condition size limit reached (3 > 2). Help: Reduce the size of your condition.",
        ),
    ],
)
def test_reads(limits: Any, model: Any, body: Any, text: str) -> None:
    """Each limit with its text; without strict mode the same request is fine."""
    request = parse(model, body)
    assert _refusal(_config(limits), request) == f"Bad request: {text}"
    off = parse(CreateCollection, {**VECTORS, "strict_mode_config": {"enabled": False, **limits}})
    StrictMode().check_read("c", off, {}, request)
    StrictMode().check_read("c", _config({}), {}, request)


@pytest.mark.parametrize(
    ("schema", "condition"),
    [
        ({"city": "keyword"}, {"key": "city", "match": {"value": "Berlin"}}),
        ({"a[].city": {"type": "keyword"}}, {"nested": {"key": "a", "filter": CITY}}),
        ({"n": "integer"}, {"key": "n", "range": {"gt": 1}}),
        ({"x": "text"}, {"is_empty": {"key": "x"}}),
        ({"u": "uuid"}, {"key": "u", "match": {"value": "00000000-0000-0000-0000-000000000001"}}),
        ({}, {"has_id": [1]}),
    ],
)
def test_an_index_that_serves_the_condition_allows_it(schema: Any, condition: Any) -> None:
    """Any type that fits will do."""
    config = _config({"unindexed_filtering_retrieve": False})
    request = parse(QueryRequest, {"filter": {"must": [condition]}})
    StrictMode().check_read("c", config, schema, request)


@pytest.mark.parametrize(
    "condition",
    [
        {"key": "city", "match": {"substring": "erl"}},
        {"must": [{"key": "city", "match": {"substring": "erl"}}]},
        {"nested": {"key": "a", "filter": {"must": {"key": "city", "match": {"substring": "e"}}}}},
    ],
)
def test_no_index_serves_a_substring(condition: Any) -> None:
    """It is refused at any depth, by strict mode without any limit."""
    request = parse(CountRequest, {"filter": {"should": [condition]}})
    text = _refusal(_config({}), request, {"city": "keyword"})
    assert text.startswith(
        'Bad request: Substring matching is not allowed, used for "city": it scans'
    )


def test_an_index_without_the_capability_does_not() -> None:
    """An integer index that was made for ranges only."""
    config = _config({"unindexed_filtering_retrieve": False})
    request = parse(CountRequest, {"filter": {"must": [{"key": "n", "match": {"value": 1}}]}})
    schema = {"n": {"type": "integer", "lookup": False, "range": True}}
    assert '"n" of one of the following types: [integer]' in _refusal(config, request, schema)


def test_a_search_that_no_index_serves() -> None:
    """Where the graph is turned off, a scan of all points counts as an exact search."""
    config = _config({"search_allow_exact": False}, hnsw_config={"m": 0, "payload_m": 16})
    search: dict[str, Any] = {"query": [1, 0]}
    text = _refusal(config, parse(QueryRequest, search))
    assert "global vector indexing is disabled (hnsw_config.m = 0). Help: Use tenant" in text
    search["filter"] = {"must": [{"key": "t", "match": {"value": "x"}}]}
    tenant = {"t": {"type": "keyword", "is_tenant": True}}
    StrictMode().check_read("c", config, tenant, parse(QueryRequest, search))
    config.hnsw_config = HnswConfigDiff(m=0, payload_m=0)
    text = _refusal(config, parse(QueryRequest, search), tenant)
    assert "vector indexing is disabled (hnsw_config.m = 0 and hnsw_config.payload_m = 0)" in text
    rescoring = {"prefetch": {"query": {"order_by": "n"}}, "query": [1, 0]}
    StrictMode().check_read("c", config, {}, parse(QueryRequest, rescoring))


def test_what_only_the_edge_knows() -> None:
    """Time limits and batches are told around the call; a group is checked as the whole it is a part of."""
    config = _config({"max_timeout": 2, "search_max_batchsize": 3, "max_query_limit": 15})
    strict, request = StrictMode(), parse(QueryRequest, {"limit": 1})
    with asked(Asked(timeout=3)), pytest.raises(BadRequest, match='3 > 2 for "timeout"'):
        strict.check_read("c", config, {}, request)
    with asked(Asked(batch=4)), pytest.raises(BadRequest, match='4 > 3 for "search batch size"'):
        strict.check_read("c", config, {}, request)
    groups = parse(QueryGroupsRequest, {"group_by": "k", "limit": 5, "group_size": 3})
    with asked(Asked(composed=groups)):
        strict.check_read("c", config, {}, parse(QueryRequest, {"limit": 500}))
    with pytest.raises(BadRequest, match="500 > 15"):
        strict.check_read("c", config, {}, parse(QueryRequest, {"limit": 500}))


@pytest.mark.parametrize(
    ("limits", "operation", "text"),
    [
        (
            {"upsert_max_batchsize": 1},
            Upsert([Point(at, {}, {}) for at in range(2)]),
            (
                'Limit exceeded 2 > 1 for "upsert limit". Help: '
                'Reduce the "upsert limit" parameter to or below 1.'
            ),
        ),
        (
            {"upsert_max_batchsize": 1},
            UpdateVectors([(at, {UNNAMED: np.zeros(2, np.float32)}) for at in range(2)]),
            (
                'Limit exceeded 2 > 1 for "update limit". Help: '
                'Reduce the "update limit" parameter to or below 1.'
            ),
        ),
        (
            {"sparse_config": {"s": {"max_length": 1}}},
            UpdateVectors(
                [(1, {"s": SparseVector(np.arange(3, dtype=np.uint32), np.ones(3, np.float32))})]
            ),
            "Sparse vector 's' has a limit of 1 indices, but 3 were provided!",
        ),
        (
            {"unindexed_filtering_update": False},
            Delete(ByFilter(parse(Filter, CITY))),
            (
                'Index required but not found for "city" of one of the following types: [keyword]. '
                "Help: Create an index for this key or use a different filter."
            ),
        ),
        (
            {"max_payload_index_count": 0},
            CreateIndex("k", "keyword"),
            (
                "Collection already has the maximum number of payload indices (0). "
                "Help: Please delete an existing index before creating a new one."
            ),
        ),
        (
            {"multivector_config": {"m": {"max_vectors": 1}}},
            Upsert([Point(1, {"m": np.zeros((2, 2), np.float32)}, {})]),
            "Multivector 'm' has a limit of 1 vectors, but 2 were provided!",
        ),
        (
            {"sparse_config": {"s": {"max_length": 1}}},
            Upsert(
                [
                    Point(
                        1,
                        {
                            "s": SparseVector(np.array([1, 2], np.uint32), np.ones(2, np.float32)),
                            UNNAMED: np.zeros(2, np.float32),
                        },
                        {},
                    )
                ]
            ),
            "Sparse vector 's' has a limit of 1 indices, but 2 were provided!",
        ),
    ],
)
def test_writes(limits: Any, operation: Operation, text: str) -> None:
    """Each limit on changes with its text."""
    with pytest.raises(BadRequest) as caught:
        StrictMode().check_write("c", _config(limits), {}, operation)
    assert str(caught.value) == f"Bad request: {text}"
    StrictMode().check_write("c", _config({}), {}, operation)


def test_the_number_of_points() -> None:
    """A collection that is full takes no more; counting is asked for only where there is a limit."""
    config = _config({"max_points_count": 10})
    assert counts_points(config)
    assert not counts_points(_config({}))
    check_points_count(config, 9)
    with pytest.raises(BadRequest, match="Max points count limit of 10 reached!"):
        check_points_count(config, 10)


@pytest.mark.parametrize("limit", ["max_query_limit", "condition_max_size", "search_max_hnsw_ef"])
def test_a_limit_may_be_reached(limit: str) -> None:
    """Only what is beyond it is refused."""
    condition = {"key": "n", "match": {"any": [1, 2, 3, 4]}}
    body = {"limit": 4, "params": {"hnsw_ef": 4}, "filter": {"must": [condition]}}
    request = parse(QueryRequest, body)
    StrictMode().check_read("c", _config({limit: 4}), {}, request)
    with pytest.raises(BadRequest):
        StrictMode().check_read("c", _config({limit: 3}), {}, request)


EXAMPLES = {"positive": [[1, 0], [0, 1]], "negative": [[1, 1]]}


@pytest.mark.parametrize(
    ("model", "body", "tokens"),
    [
        (QueryRequest, {"query": [1, 0]}, 1),
        (QueryRequest, {"query": [1, 0], "filter": {"must": [CITY, CITY]}}, 3),
        (QueryRequest, {"query": {"recommend": {**EXAMPLES, "strategy": "best_score"}}}, 3),
        (QueryRequest, {"query": {"recommend": EXAMPLES}}, 1),
        (
            QueryRequest,
            {"prefetch": [{"filter": CITY}, {"prefetch": {}}], "query": {"fusion": "rrf"}},
            4,
        ),
        (CountRequest, {"filter": CITY}, 2),
        (PointRequest, {"ids": [1, 2, 3]}, 3),
    ],
)
def test_what_a_read_costs(model: Any, body: Any, tokens: int) -> None:
    """One token for the read, one for each condition and example, one for each branch that searches."""
    strict = StrictMode(Rates(lambda: 0.0))
    strict.check_read("c", _config({"read_rate_limit": 10}), {}, parse(model, body))
    assert strict.rates.buckets["c", "Read"].tokens == 10 - tokens


def test_a_collection_has_as_many_payload_indexes_as_it_may() -> None:
    """The next one is refused; removing one is not, nor is one that still fits."""
    config, strict = _config({"max_payload_index_count": 2}), StrictMode()
    strict.check_write("c", config, {"a": "keyword"}, CreateIndex("b", "keyword"))
    strict.check_write("c", config, {"a": "keyword", "b": "text"}, DeleteIndex("a"))
    with pytest.raises(BadRequest, match=r"payload indices \(2\)"):
        strict.check_write("c", config, {"a": "keyword", "b": "text"}, CreateIndex("a", "text"))


def test_what_a_write_costs() -> None:
    """One token for each point; an operation without points is one."""
    vectors = {UNNAMED: np.zeros(2, np.float32)}
    for operation, tokens in (
        (Upsert([Point(at, vectors, {}) for at in range(3)]), 3),
        (UpdateVectors([(at, vectors) for at in range(2)]), 2),
        (Delete(ByFilter(parse(Filter, CITY))), 1),
    ):
        strict = StrictMode(Rates(lambda: 0.0))
        strict.check_write("c", _config({"write_rate_limit": 10}), {}, operation)
        assert strict.rates.buckets["c", "Write"].tokens == 10 - tokens


def test_rates() -> None:
    """A bucket begins full and fills up at the limit per minute; each kind of operation has its own."""
    now = [0.0]
    strict = StrictMode(Rates(lambda: now[0]))
    config = _config({"read_rate_limit": 10, "write_rate_limit": 1})
    scroll = parse(ScrollRequest, {"filter": {"must": [CITY, CITY, CITY, CITY, CITY]}})
    strict.check_read("c", config, {}, scroll)
    with pytest.raises(RateLimited) as caught:
        strict.check_read("c", config, {}, scroll)
    assert str(caught.value) == (
        "Rate limiting exceeded: Read rate limit exceeded: Operation requires 6 tokens "
        "but only 4.0 were available. Retry after 12s"
    )
    assert caught.value.retry_after == pytest.approx(12)
    strict.check_write("c", config, {}, Upsert([Point(1, {}, {})]))
    strict.check_read("other", config, {}, scroll)
    now[0] = 12.0
    strict.check_read("c", config, {}, scroll)
    with pytest.raises(RateLimited, match="request larger than rate limiter capacity") as caught:
        strict.check_read("c", config, {}, PointRequest(ids=list(range(11))))
    assert caught.value.retry_after is None
