"""Endpoints from before the universal query, and the ones composed of it: groups, facets, distances."""

import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.qdrant.app import qdrant_app
from service.api.qdrant.grouping import facet_json, groups_json, offsets_json, pairs_json
from service.model.points import FacetHit, Group, Hit, Neighbour, Record
from service.model.qdrant import CreateCollection, DiscoverQuery, QueryRequest, RecommendQuery
from service.queries.matrix import Matrix
from service.queries.strict.mode import StrictMode
from tests.fakes import MemoryStore
from tests.service.api.conftest import VERSION, Api

PATH = "/collections/c/points"


@pytest.fixture
def filled(api: Api) -> Api:
    """The collection ``c`` with two points."""
    points = [{"id": 1, "vector": [1, 0]}, {"id": 2, "vector": [0.6, 0.8]}]
    api.result("PUT", f"{PATH}?wait=true", {"points": points})
    return api


def test_a_search_answers_a_bare_list(filled: Api) -> None:
    """With its limit under either name."""
    hits = filled.result("POST", f"{PATH}/search", {"vector": [1, 0], "top": 1})
    assert hits == [{"id": 1, "version": 0, "score": 1.0}]
    batch = {"searches": [{"vector": [0, 1], "limit": 1}, {"vector": [1, 0], "limit": 2}]}
    answers = filled.result("POST", f"{PATH}/search/batch", batch)
    assert [[hit["id"] for hit in hits] for hits in answers] == [[2], [1, 2]]


class _Asked(MemoryStore):
    """Remembers the queries and answers none."""

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        self.queries.append(request)
        return []


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("recommend", {"positive": [1], "limit": 2}, RecommendQuery),
        ("discover", {"target": [1, 0], "limit": 2}, DiscoverQuery),
    ],
)
def test_recommend_and_discover_are_queries(path: str, body: Any, expected: type) -> None:
    """Alone and in a batch."""
    store = _Asked()
    with TestClient(qdrant_app(store, version=VERSION)) as http:
        api = Api(http, store)
        api.result("PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}})
        assert api.result("POST", f"{PATH}/{path}", body) == []
        assert api.result("POST", f"{PATH}/{path}/batch", {"searches": [body, body]}) == [[], []]
        lacking = {"searches": [body, {}]}
        assert api.error("POST", f"{PATH}/{path}/batch", lacking)[0] == 400
    assert [type(query.query) for query in store.queries] == [expected] * 3


def test_a_facet(filled: Api) -> None:
    """Values and counts, in the order of the store."""
    told = filled.result("POST", "/collections/c/facet", {"key": "a.b", "limit": 5})
    assert told == {"hits": [{"value": "a", "count": 2}, {"value": 1, "count": 1}]}
    assert filled.store.facets[0][1].key == "a.b"
    assert filled.error("POST", "/collections/c/facet", {"key": "a", "limit": 0}) == (
        422,
        (
            "Validation error in JSON body: "
            "[facet_request.limit: value 0 invalid, must be 1 or larger]"
        ),
    )


def test_groups_are_written_with_their_lookup() -> None:
    """A group has its id, its hits and, where it was asked for and found, a point of another collection."""
    groups = [Group("a", [Hit(1, 0.5)], Record(7, {"x": 1})), Group(3, [])]
    assert groups_json(groups) == {
        "groups": [
            {
                "id": "a",
                "hits": [{"id": 1, "version": 0, "score": 0.5}],
                "lookup": {"id": 7, "payload": {"x": 1}},
            },
            {"id": 3, "hits": []},
        ]
    }


def test_a_matrix_in_both_shapes() -> None:
    """Pairs name the points, offsets their positions among the ids."""
    matrix = Matrix([5, 9], [Neighbour(9, 5, 0.25)])
    assert pairs_json(matrix) == {"pairs": [{"a": 9, "b": 5, "score": 0.25}]}
    offsets = offsets_json(matrix)
    assert (offsets["offsets_row"], offsets["offsets_col"], offsets["ids"]) == ([1], [0], [5, 9])
    assert list(offsets["scores"]) == [0.25]
    assert facet_json([FacetHit(True, 3)]) == {"hits": [{"value": True, "count": 3}]}


class _Slow(MemoryStore):
    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        await asyncio.sleep(30)
        return []


def test_a_query_ends_when_its_time_is_over() -> None:
    """The request's own limit, in Qdrant's words."""
    store = _Slow()
    with TestClient(qdrant_app(store, version=VERSION)) as http:
        api = Api(http, store)
        assert api.error("POST", f"{PATH}/query?timeout=1", {"query": [1, 0]}) == (
            408,
            "Timeout: Timeout error: Operation 'Search' timed out after 1s",
        )


class _Stuck(MemoryStore):
    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        raise TimeoutError


def test_a_timeout_of_the_store_is_not_the_requests() -> None:
    """Nobody is told that his own time was over when it was not."""
    store = _Stuck()
    with TestClient(qdrant_app(store, version=VERSION)) as http:
        status, _ = Api(http, store).error("POST", f"{PATH}/query?timeout=9", {"query": [1, 0]})
    assert status == 500


class _Strict(MemoryStore):
    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        limits = {
            "enabled": True,
            "max_timeout": 2,
            "search_max_batchsize": 1,
            "unindexed_filtering_retrieve": False,
        }
        config = CreateCollection.model_validate({"strict_mode_config": limits})
        StrictMode().check_read(collection, config, {}, request)
        return await super().query(collection, request)


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("query?timeout=3", {"query": [1, 0]}, '3 > 2 for "timeout"'),
        ("query/batch", {"searches": [{"query": [1, 0]}] * 2}, '2 > 1 for "search batch size"'),
        ("query/groups", {"query": [1, 0], "group_by": "k"}, 'not found for "k". Help'),
    ],
)
def test_strict_mode_is_told_what_only_the_request_says(path: str, body: object, text: str) -> None:
    """Time limits, the size of a batch, and what a group is a part of."""
    store = _Strict()
    with TestClient(qdrant_app(store, version=VERSION)) as http:
        api = Api(http, store)
        api.result("PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}})
        status, reason = api.error("POST", f"{PATH}/{path}", body)
    assert (status, text in reason) == (400, True), reason
