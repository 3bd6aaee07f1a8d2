"""Grouped queries: against the local mode of qdrant-client, and the rounds that Qdrant makes."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import QdrantClient
from qdrant_client.http import models

from service.errors import PointNotFound
from service.model.operations import Upsert
from service.model.points import Group, Hit, Payload, Point
from service.model.qdrant import CreateCollection, PointRequest, QueryGroupsRequest, QueryRequest
from service.queries.group_sets import GroupSets
from service.queries.groups import grouped
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from service.translate.paths import parse_path
from tests.fakes import MemoryStore

NAME = "groups"
SIZE = 3


def _payload(number: int, random: np.random.Generator) -> Payload:
    shapes: list[Any] = [
        int(random.integers(0, 5)),
        ["x", "y", "z"][number % 3],
        [int(random.integers(0, 5)), int(random.integers(0, 5))],
        ["x", "x"],
        None,
        [],
    ]
    return {
        "tag": shapes[int(random.integers(0, len(shapes)))],
        "deep": {"tag": number % 4},
        "list": [{"tag": number % 3}, {"tag": number % 5}],
        "n": number,
    }


def _points() -> list[Point]:
    random = np.random.default_rng(5)
    return [
        Point(
            number,
            {
                "dot": random.normal(size=SIZE).astype(np.float32),
                "euclid": random.normal(size=SIZE).astype(np.float32),
            },
            _payload(number, random),
        )
        for number in range(60)
    ]


@pytest.fixture(scope="module")
def local() -> QdrantClient:
    """The client's own store with the points."""
    client = QdrantClient(":memory:")
    client.create_collection(
        NAME,
        vectors_config={
            "dot": models.VectorParams(size=SIZE, distance=models.Distance.DOT),
            "euclid": models.VectorParams(size=SIZE, distance=models.Distance.EUCLID),
        },
    )
    client.upsert(
        NAME,
        [
            models.PointStruct(
                id=point.id,
                vector={name: np.asarray(v).tolist() for name, v in point.vectors.items()},
                payload=point.payload,
            )
            for point in _points()
        ],
    )
    return client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(module_database_url: str) -> AsyncIterator[PgStore]:
    """Postgres with the same points."""
    database = await Database.open(module_database_url)
    store = PgStore(database)
    await store.create_collection(
        NAME,
        CreateCollection.model_validate(
            {
                "vectors": {
                    "dot": {"size": SIZE, "distance": "Dot"},
                    "euclid": {"size": SIZE, "distance": "Euclid"},
                }
            }
        ),
    )
    await store.apply(NAME, Upsert(tuple(_points())), wait=True)
    yield store
    await store.delete_collection(NAME)
    await database.close()


def _seen(groups: Sequence[Any]) -> dict[Any, Any]:
    return {
        group.id: [(hit.id, pytest.approx(hit.score, rel=1e-5)) for hit in group.hits]
        for group in groups
    }


@pytest.mark.parametrize("using", ["dot", "euclid"])
@pytest.mark.parametrize("group_by", ["tag", "tag[]", "deep.tag", "list[].tag"])
@pytest.mark.parametrize(("limit", "size"), [(3, 2), (10, 3), (1, 5)])
@pytest.mark.asyncio(loop_scope="module")
async def test_groups_are_the_local_modes(
    store: PgStore, local: QdrantClient, using: str, group_by: str, limit: int, size: int
) -> None:
    """The same groups in the same order with the same hits."""
    query = [0.3, -0.2, 0.9]
    expected = local.query_points_groups(
        NAME, group_by, query=query, using=using, limit=limit, group_size=size
    ).groups
    request = QueryGroupsRequest(
        query=query, using=using, group_by=group_by, limit=limit, group_size=size
    )
    found = await grouped(store, NAME, request)
    assert _seen(found) == _seen(expected)
    assert [group.id for group in found] == [group.id for group in expected]


@pytest.mark.asyncio(loop_scope="module")
async def test_one_element_of_an_array_is_no_group(store: PgStore) -> None:
    """Qdrant reads the field by a payload selector, and that selects nothing by an index."""
    body = {"query": [1.0, 0.0, 0.0], "using": "dot", "group_by": "list[1].tag"}
    assert await grouped(store, NAME, QueryGroupsRequest.model_validate(body)) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_the_named_point_and_filtered_points_are_in_no_group(store: PgStore) -> None:
    """A group is made of what the query itself may answer."""
    body = {"query": 7, "using": "dot", "group_by": "deep.tag", "group_size": 100, "limit": 100}
    body["filter"] = {"must": [{"key": "n", "range": {"lt": 30}}]}
    found = await grouped(store, NAME, QueryGroupsRequest.model_validate(body))
    assert {group.id for group in found} == {0, 1, 2, 3}
    assert sorted(hit.id for group in found for hit in group.hits) == [
        number for number in range(30) if number != 7
    ]


@pytest.mark.asyncio(loop_scope="module")
async def test_branches_bring_enough_for_all_groups(store: PgStore) -> None:
    """Their limits are multiplied by the size of the groups."""
    body = {
        "prefetch": {"query": [1.0, 0.0, 0.0], "using": "dot", "limit": 10},
        "query": {"fusion": "rrf"},
        "group_by": "deep.tag",
        "group_size": 5,
        "limit": 4,
    }
    found = await grouped(store, NAME, QueryGroupsRequest.model_validate(body))
    assert sum(len(group.hits) for group in found) > 10


@pytest.mark.asyncio(loop_scope="module")
async def test_hits_carry_what_is_asked_for(store: PgStore) -> None:
    """Payload and vectors are read at the end; by default neither is there."""
    body: dict[str, Any] = {"query": [1.0, 0.0, 0.0], "using": "dot", "group_by": "deep.tag"}
    plain = await grouped(store, NAME, QueryGroupsRequest.model_validate(body))
    assert {hit.payload for group in plain for hit in group.hits} == {None}
    body |= {"with_payload": ["n"], "with_vector": ["dot"]}
    full = await grouped(store, NAME, QueryGroupsRequest.model_validate(body))
    assert [[hit.id for hit in group.hits] for group in full] == [
        [hit.id for hit in group.hits] for group in plain
    ]
    for hit in (hit for group in full for hit in group.hits):
        assert hit.payload == {"n": hit.id}
        assert list(hit.vectors or {}) == ["dot"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_group_can_be_looked_up(store: PgStore) -> None:
    """Its value is the id of a point in another collection, which need not be there."""
    body: dict[str, Any] = {"query": [1.0, 0.0, 0.0], "using": "dot", "group_by": "tag"}
    body |= {"with_lookup": {"collection": NAME, "with_payload": ["n"]}, "limit": 20}
    found = await grouped(store, NAME, QueryGroupsRequest.model_validate(body))
    looked_up = {group.id: group.lookup and group.lookup.payload for group in found}
    assert looked_up == {
        group.id: {"n": group.id} if isinstance(group.id, int) else None for group in found
    }
    body["with_lookup"] = NAME
    [first, *_] = await grouped(
        store, NAME, QueryGroupsRequest.model_validate({**body, "group_by": "deep.tag"})
    )
    assert first.lookup is not None
    assert first.lookup.payload is not None
    assert first.lookup.payload["n"] == first.id
    assert first.lookup.vectors is None
    body["with_lookup"] = "missing"
    with pytest.raises(PointNotFound, match="Not found: Collection missing not found"):
        await grouped(store, NAME, QueryGroupsRequest.model_validate(body))


class _Scripted(MemoryStore):
    """Answers every query with the next of some lists, at the end with the last one."""

    def __init__(self, *answers: list[Hit]) -> None:
        super().__init__()
        self._answers = list(answers)

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        self.queries.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def retrieve(self, collection: str, request: PointRequest) -> Any:
        raise AssertionError("nothing is to be read")


def _hit(number: int, score: float, *tags: Any) -> Hit:
    return Hit(number, score, payload={"tag": list(tags)})


async def _grouped(store: _Scripted, **body: Any) -> list[Group]:
    request = {"query": [1.0], "group_by": "tag", "limit": 2, "group_size": 2, **body}
    return await grouped(store, NAME, QueryGroupsRequest.model_validate(request))


async def test_qdrant_asks_ten_times_at_most() -> None:
    """Five times for groups and five times to fill them; points without a usable value bring nothing."""
    store = _Scripted([_hit(1, 1.0, 0.5), _hit(2, 0.9, "a", True)])
    assert await _grouped(store) == []
    assert len(store.queries) == 10
    assert {query.limit for query in store.queries} == {4}


async def test_enough_full_groups_end_the_search() -> None:
    """One round suffices."""
    hits = [_hit(1, 4.0, "a"), _hit(2, 3.0, "b"), _hit(3, 2.0, "a", "b"), _hit(4, 1.0, "a")]
    store = _Scripted(hits)
    groups = await _grouped(store)
    assert len(store.queries) == 1
    assert [(group.id, [hit.id for hit in group.hits]) for group in groups] == [
        ("a", [1, 3]),
        ("b", [2, 3]),
    ]


async def test_rounds_leave_out_what_is_found() -> None:
    """Collecting leaves out full groups, filling asks for open ones; both leave out the points they have."""
    store = _Scripted([_hit(1, 4.0, "a"), _hit(2, 3.0, "a"), _hit(3, 2.0, 7)], [])
    await _grouped(store)
    first, second, third = (query.filter for query in store.queries)
    assert first is not None
    assert second is not None
    assert third is not None
    empty = {"is_empty": {"key": "tag"}}
    seen = {"has_id": [1, 2, 3]}

    def bare(wanted: Any) -> Any:
        return wanted.model_dump(mode="json", by_alias=True, exclude_none=True)

    assert bare(first) == {"must_not": [empty]}
    assert bare(second) == {
        "must": [{"key": "tag", "match": {"except": ["a"]}}],
        "must_not": [seen, empty],
    }
    assert bare(third) == {
        "must": [{"key": "tag", "match": {"any": [7]}}],
        "must_not": [seen, empty],
    }


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.sampled_from("abc")), max_size=12),
    st.booleans(),
)
def test_the_best_hit_decides_in_either_direction(
    scored: list[tuple[float, str]], falling: bool
) -> None:
    """The first hit of an answer is its best, so larger or smaller scores are better."""
    ranked = sorted(scored, reverse=falling)
    sets = GroupSets(parse_path("tag"), limit=3, size=2)
    sets.add([_hit(number, score, tag) for number, (score, tag) in enumerate(ranked)])
    best = [[hit.score for hit in group.hits] for group in sets.best()]
    direction = -1 if falling else 1
    for scores in best:
        assert scores == sorted(scores, key=lambda score: direction * score)
    firsts = [scores[0] for scores in best]
    assert firsts == sorted(firsts, key=lambda score: direction * score)
