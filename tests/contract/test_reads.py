"""Scrolls, counts and searches, in every store."""

from typing import Any

import numpy as np
import pytest

from service.errors import PointNotFound, WrongInput
from service.model.ids import PointId
from service.model.qdrant import (
    CountRequest,
    Distance,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchAny,
    PayloadSelectorExclude,
    QueryRequest,
    Range,
    ScrollRequest,
    SearchParams,
)
from service.ports import VectorStore
from tests.contract.samples import NAME, UUID_A, UUID_B, equals, filled, one, point, two

MIXED: list[PointId] = [2, 10, 2**64 - 1, UUID_A, UUID_B]
"""In the order of a scroll: integers by value, then UUIDs by their bytes."""


async def test_a_scroll_walks_all_ids_in_order(store: VectorStore) -> None:
    """Pages of any size join to the whole, and a full last page is the last one."""
    await filled(store, one(), *(point(given, {}) for given in reversed(MIXED)))
    for size in (1, 2, 5, 6):
        seen: list[Any] = []
        offset: Any = None
        while True:
            page = await store.scroll(NAME, ScrollRequest(limit=size, offset=offset))
            seen += [record.id for record in page.records]
            offset = page.next_id
            if offset is None:
                break
        assert seen == MIXED


async def test_a_scroll_may_start_at_an_id_that_is_not_there(store: VectorStore) -> None:
    """The offset is inclusive and need not exist."""
    await filled(store, one(), *(point(given, {}) for given in MIXED))
    page = await store.scroll(NAME, ScrollRequest(offset=3, limit=1))
    assert [record.id for record in page.records] == [10]
    assert page.next_id == 2**64 - 1


async def test_filters_select_in_scrolls_and_counts(store: VectorStore) -> None:
    """The same filter gives the same points everywhere, nested filters included."""
    await filled(
        store,
        one(),
        point(1, {"": [1, 0]}, lang="en", tags=["a", "b"], n=1),
        point(2, {"": [2, 0]}, lang="de", tags=["b"], n=2.5),
        point(3, {"": [3, 0]}, lang=None, tags=[], n="3"),
        point(4, {"": [4, 0]}),
    )
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [1, 2, 3, 4]),
        ({"must": [], "should": []}, [1, 2, 3, 4]),
        ({"must": [{"key": "tags", "match": {"value": "b"}}]}, [1, 2]),
        ({"must_not": [{"key": "lang", "match": {"value": "en"}}]}, [2, 3, 4]),
        ({"must": [{"key": "lang", "match": {"except": ["en"]}}]}, [2]),
        ({"must": [{"key": "n", "range": {"gte": 1, "lt": 2.5}}]}, [1]),
        ({"must": [{"is_empty": {"key": "tags"}}]}, [3, 4]),
        ({"must": [{"is_null": {"key": "lang"}}]}, [3]),
        ({"must": [{"has_id": [4, 1, 77]}]}, [1, 4]),
        (
            {
                "should": [
                    {"key": "lang", "match": {"value": "de"}},
                    {"must": [{"has_id": [4]}], "must_not": [{"key": "n", "range": {}}]},
                ]
            },
            [2, 4],
        ),
        (
            {
                "min_should": {
                    "min_count": 2,
                    "conditions": [
                        {"key": "tags", "match": {"any": ["a", "z"]}},
                        {"key": "n", "match": {"any": [1, 2]}},
                        {"has_id": [2, 3]},
                    ],
                }
            },
            [1],
        ),
    ]
    for given, expected in cases:
        wanted = Filter.model_validate(given)
        page = await store.scroll(NAME, ScrollRequest(filter=wanted))
        assert [record.id for record in page.records] == expected, given
        assert await store.count(NAME, CountRequest(filter=wanted)) == len(expected), given
        hits = await store.query(NAME, QueryRequest(query=[1.0, 0.0], filter=wanted))
        assert sorted(hit.id for hit in hits) == expected, given


async def test_a_boolean_matches_booleans_only(store: VectorStore) -> None:
    """Not 1, not "true"."""
    values = [True, False, 1, "true", [False, True]]
    await filled(store, one(), *(point(at, {}, b=value) for at, value in enumerate(values)))
    wanted = Filter.model_validate({"must": [{"key": "b", "match": {"value": True}}]})
    page = await store.scroll(NAME, ScrollRequest(filter=wanted))
    assert [record.id for record in page.records] == [0, 4]


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (Distance.COSINE, [(1, 1.0), (2, 0.6), (3, 0.0)]),
        (Distance.DOT, [(2, 3.0), (1, 2.0), (3, 0.0)]),
        (Distance.EUCLID, [(1, 1.0), (3, 2**0.5), (2, 20**0.5)]),
        (Distance.MANHATTAN, [(1, 1.0), (3, 2.0), (2, 6.0)]),
    ],
)
async def test_scores_of_each_distance(
    store: VectorStore, distance: Distance, expected: list[tuple[int, float]]
) -> None:
    """Scores have Qdrant's meaning and the best comes first."""
    points = [point(1, {"": [2, 0]}), point(2, {"": [3, 4]}), point(3, {"": [0, 1]}), point(4, {})]
    await filled(store, one(2, distance), *points)
    hits = await store.query(NAME, QueryRequest(query=[1.0, 0.0]))
    assert [hit.id for hit in hits] == [number for number, _ in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected], rel=1e-6)


@pytest.mark.parametrize(
    ("distance", "threshold", "kept"),
    [(Distance.DOT, 2.0, [3]), (Distance.EUCLID, 2.0, [1])],
)
async def test_a_threshold_is_strict(
    store: VectorStore, distance: Distance, threshold: float, kept: list[int]
) -> None:
    """A score equal to the threshold is left out, in either direction."""
    await filled(store, one(1, distance), *(point(n, {"": [n]}) for n in (1, 2, 3)))
    query = [1.0] if distance is Distance.DOT else [0.0]
    hits = await store.query(NAME, QueryRequest(query=query, score_threshold=threshold))
    assert [hit.id for hit in hits] == kept


async def test_limit_and_offset_apply_after_ranking(store: VectorStore) -> None:
    """The offset skips the best; 10 is the default limit."""
    await filled(store, one(1), *(point(number, {"": [number]}) for number in range(30)))
    hits = await store.query(NAME, QueryRequest(query=[1.0], limit=3, offset=5))
    assert [hit.id for hit in hits] == [24, 23, 22]
    assert len(await store.query(NAME, QueryRequest(query=[1.0]))) == 10
    exact = QueryRequest(query=[1.0], limit=30, params=SearchParams(exact=True))
    assert [hit.id for hit in await store.query(NAME, exact)] == list(range(29, -1, -1))


async def test_a_query_by_id_leaves_that_point_out(store: VectorStore) -> None:
    """The stored vector is the query; an unknown id is 404, and so is a point without such a vector."""
    await filled(store, two(), *(point(n, {"image": [n, 0, 0]}) for n in (1, 2, 4)), point(9, {}))
    hits = await store.query(NAME, QueryRequest(query=2, using="image"))
    assert [(hit.id, hit.score) for hit in hits] == [(1, 1.0), (4, 2.0)]
    with pytest.raises(PointNotFound, match="No point with id 3"):
        await store.query(NAME, QueryRequest(query=3, using="image"))
    with pytest.raises(PointNotFound, match='Vector with name "image" for point not found'):
        await store.query(NAME, QueryRequest(query=9, using="image"))


async def test_a_query_for_nothing_returns_the_first_points(store: VectorStore) -> None:
    """In id order, all with the score 1."""
    await filled(store, one(), *(point(given, {}, a=1) for given in MIXED))
    request = QueryRequest(filter=equals("a", 1), limit=2, offset=1)
    assert [(hit.id, hit.score) for hit in await store.query(NAME, request)] == [
        (10, 1.0),
        (2**64 - 1, 1.0),
    ]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (QueryRequest(query=[1.0, 2.0, 3.0]), "Vector dimension error: expected dim: 2, got 3"),
        (QueryRequest(query=[1.0, 2.0], using="zz"), "Not existing vector name error: zz"),
    ],
)
async def test_a_query_that_does_not_fit(
    store: VectorStore, request_: QueryRequest, text: str
) -> None:
    """The texts are Qdrant's."""
    await filled(store, one(), point(1, {"": [1, 2]}))
    with pytest.raises(WrongInput, match=text):
        await store.query(NAME, request_)


async def test_answers_carry_what_was_asked_for(store: VectorStore) -> None:
    """Selectors shape the payload, names choose the vectors."""
    await filled(
        store, two(), point(1, {"text": [1, 0], "image": [1, 2, 3]}, a=1, o={"x": 1, "y": 2})
    )
    [hit] = await store.query(
        NAME,
        QueryRequest(query=[1.0, 0.0], using="text", with_payload=["o.x"], with_vector=["image"]),
    )
    assert hit.payload == {"o": {"x": 1}}
    assert hit.vectors is not None
    assert {name: np.asarray(value).tolist() for name, value in hit.vectors.items()} == {
        "image": [1, 2, 3]
    }
    [bare] = await store.query(NAME, QueryRequest(query=[1.0, 0.0], using="text"))
    assert (bare.payload, bare.vectors) == (None, None)
    page = await store.scroll(
        NAME, ScrollRequest(with_payload=PayloadSelectorExclude(exclude=["o"]), with_vector=False)
    )
    assert page.records[0].payload == {"a": 1}


async def test_ids_and_lists_join_in_one_filter(store: VectorStore) -> None:
    """Both kinds of ids can be named in ``has_id`` beside another condition."""
    await filled(store, one(), *(point(given, {}, n=at) for at, given in enumerate(MIXED)))
    wanted = Filter(
        must=[
            HasIdCondition(has_id=[2, UUID_A, UUID_B]),
            FieldCondition(key="n", match=MatchAny(any=[0, 3])),
        ],
        must_not=[FieldCondition(key="n", range=Range(lt=1))],
    )
    page = await store.scroll(NAME, ScrollRequest(filter=wanted))
    assert [record.id for record in page.records] == [UUID_A]
