"""Requests become trees in which everything is looked up; what contradicts itself is refused in Qdrant's words."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from service.errors import BadRequest, PointNotFound, RequestError, Unsupported, WrongInput
from service.model.operations import Upsert
from service.model.points import FloatArray, Point, SparseVector, VectorValue
from service.model.qdrant import (
    CreateCollection,
    Direction,
    FieldCondition,
    Filter,
    MatchValue,
    PointRequest,
    QueryRequest,
    SearchParams,
)
from service.model.queries import (
    AtRandom,
    BestScore,
    Branch,
    ByDistribution,
    ByDiversity,
    ByField,
    ByFormula,
    ByReciprocalRank,
    ByVector,
    Context,
    Discover,
    Feedback,
    Nearest,
    SumScores,
)
from service.queries.resolve import resolve
from tests.fakes import MemoryStore

UUID_ID = "00000000-0000-0000-0000-00000000000a"


class _Reader(MemoryStore):
    """Counts the reads."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[str, PointRequest]] = []

    async def retrieve(self, collection: str, request: PointRequest) -> Any:
        self.reads.append((collection, request))
        return await super().retrieve(collection, request)


def _vector(*values: float) -> FloatArray:
    return np.asarray(values, dtype=np.float32)


def _values(vector: VectorValue) -> object:
    assert isinstance(vector, np.ndarray)
    return vector.tolist()


@pytest.fixture
async def store() -> _Reader:
    """Two collections: ``own`` with the vectors ``""`` and ``b``, ``other`` with ``x``."""
    store = _Reader()
    for name in ("own", "other"):
        await store.create_collection(name, CreateCollection())
    points = [
        Point(1, {"": _vector(1, 0), "b": _vector(0, 1)}, {}),
        Point(2, {"": _vector(2, 0)}, {}),
        Point(UUID_ID, {"": _vector(3, 0), "b": _vector(0, 3)}, {}),
    ]
    await store.apply("own", Upsert(tuple(points)), wait=True)
    other = [Point(1, {"x": _vector(7, 7), "": _vector(8, 8)}, {})]
    await store.apply("other", Upsert(tuple(other)), wait=True)
    return store


async def _resolved(store: _Reader, **body: Any) -> Any:
    return await resolve(store, "own", QueryRequest.model_validate(body))


async def _vector_of(store: _Reader, **body: Any) -> list[float]:
    query = await _resolved(store, **body)
    vector: list[float] = query.scoring.scoring.vector.tolist()
    return vector


async def test_a_vector_needs_no_read(store: _Reader) -> None:
    """Nothing is awaited when the request names no id; lists become float32 arrays."""
    query = await _resolved(store, query=[1, 0.5], limit=3, offset=2, using="b")
    assert query.scoring.using == "b"
    assert query.scoring.scoring.vector.dtype == np.float32
    assert (query.limit, query.offset, query.excluded) == (3, 2, ())
    assert store.reads == []


async def test_defaults_are_filled_in(store: _Reader) -> None:
    """Ten hits from the first on, by the unnamed vector."""
    query = await _resolved(store, query=[1, 0])
    assert (query.limit, query.offset, query.scoring.using) == (10, 0, "")
    assert (
        await _resolved(store) == await _resolved(store) or (await _resolved(store)).scoring is None
    )


async def test_sparse_vectors_are_sorted(store: _Reader) -> None:
    """Stores expect ascending indices."""
    query = await _resolved(store, query={"indices": [9, 2], "values": [1, 2]}, using="s")
    vector = query.scoring.scoring.vector
    assert isinstance(vector, SparseVector)
    assert (vector.indices.tolist(), vector.values.tolist()) == ([2, 9], [2, 1])


async def test_an_id_stands_for_its_vector_and_is_not_answered(store: _Reader) -> None:
    """The same point in any spelling of its id."""
    assert await _vector_of(store, query=1, using="b") == [0, 1]
    query = await _resolved(store, query={"nearest": UUID_ID.replace("-", "").upper()})
    assert query.scoring.scoring.vector.tolist() == [3, 0]
    assert query.excluded == (UUID_ID,)


async def test_all_ids_of_a_tree_are_read_at_once(store: _Reader) -> None:
    """One read per collection, with the vectors that any node wants; all are excluded at the root."""
    query = await _resolved(
        store,
        prefetch=[
            {"query": {"recommend": {"positive": [1], "negative": [2]}}},
            {
                "prefetch": {"query": {"context": [{"positive": 1, "negative": [1, 1]}]}},
                "query": {"discover": {"target": UUID_ID, "context": []}},
                "using": "b",
            },
        ],
        query={"fusion": "rrf"},
    )
    [(collection, request)] = store.reads
    assert collection == "own"
    assert request.ids == [1, 2, UUID_ID]
    assert request.with_vector == ["", "b"]
    assert query.excluded == (1, 2, UUID_ID)


async def test_ids_can_be_looked_up_elsewhere(store: _Reader) -> None:
    """With another vector name; these ids are not points of this collection and are not excluded."""
    lookup = {"collection": "other", "vector": "x"}
    query = await _resolved(store, query=1, lookup_from=lookup, prefetch={"query": 2})
    assert query.scoring.scoring.vector.tolist() == [7, 7]
    assert query.excluded == (2,)
    assert await _vector_of(store, query=1, lookup_from={"collection": "other"}) == [8, 8]
    own = await _resolved(store, query=1, lookup_from={"collection": "own", "vector": "b"})
    assert (own.scoring.scoring.vector.tolist(), own.excluded) == ([0, 1], (1,))


async def test_a_lookup_without_ids_looks_nothing_up(store: _Reader) -> None:
    """The collection need not even be there."""
    assert await _vector_of(store, query=[1, 0], lookup_from={"collection": "none"}) == [1, 0]


async def test_recommend_has_three_strategies(store: _Reader) -> None:
    """By default one vector, else the examples themselves; points without the vector do not count."""
    examples = {"positive": [1, [5, 0]], "negative": [2]}
    assert await _vector_of(store, query={"recommend": examples}) == [4, 0]
    for strategy, kind in (("best_score", BestScore), ("sum_scores", SumScores)):
        query = await _resolved(store, query={"recommend": {**examples, "strategy": strategy}})
        scoring = query.scoring.scoring
        assert isinstance(scoring, kind)
        assert [_values(vector) for vector in scoring.positives] == [[1, 0], [5, 0]]
        assert [_values(vector) for vector in scoring.negatives] == [[2, 0]]
    lacking = {"positive": [1, 2], "negative": [2]}
    assert await _vector_of(store, query={"recommend": lacking}, using="b") == [0, 1]


async def test_the_other_vector_queries(store: _Reader) -> None:
    """Discover, context and relevance feedback keep their structure."""
    pair = {"positive": 1, "negative": [9, 9]}
    discover = (
        await _resolved(store, query={"discover": {"target": 2, "context": pair}})
    ).scoring.scoring
    assert isinstance(discover, Discover)
    assert _values(discover.target) == [2, 0]
    [(positive, negative)] = discover.pairs
    assert (_values(positive), _values(negative)) == ([1, 0], [9, 9])
    context = (await _resolved(store, query={"context": [pair, pair]})).scoring.scoring
    assert isinstance(context, Context)
    assert len(context.pairs) == 2
    feedback = {
        "target": 1,
        "feedback": [{"example": 2, "score": 0.5}],
        "strategy": {"naive": {"a": 1.0, "b": 2.0, "c": 3.0}},
    }
    found = (await _resolved(store, query={"relevance_feedback": feedback})).scoring.scoring
    assert isinstance(found, Feedback)
    assert (_values(found.target), found.a, found.b, found.c) == ([1, 0], 1, 2, 3)
    assert [(_values(vector), score) for vector, score in found.examples] == [([2, 0], 0.5)]


async def test_diversity_and_its_defaults(store: _Reader) -> None:
    """As many candidates as hits, half relevance and half diversity."""
    query = await _resolved(store, query={"nearest": 1, "mmr": {}}, limit=7)
    assert isinstance(query.scoring, ByDiversity)
    assert (query.scoring.diversity, query.scoring.candidates) == (0.5, 7)
    mmr = {"diversity": 0.0, "candidates_limit": 0}
    query = await _resolved(store, query={"nearest": [1, 2], "mmr": mmr}, using="b")
    assert (query.scoring.diversity, query.scoring.candidates) == (0.0, 0)
    assert query.scoring.using == "b"


async def test_more_candidates_than_any_store_has_fit_its_numbers(store: _Reader) -> None:
    """A client may ask for all that 64 bits can count."""
    mmr = {"candidates_limit": 2**64 - 1}
    query = await _resolved(store, query={"nearest": 1, "mmr": mmr})
    assert isinstance(query.scoring, ByDiversity)
    assert 2**61 < query.scoring.candidates < 2**63


async def test_queries_without_a_vector(store: _Reader) -> None:
    """Fields, samples, fusions and formulas."""
    assert (await _resolved(store, query={"order_by": "f"})).scoring == ByField("f")
    moment = datetime(2024, 1, 2, tzinfo=UTC)
    order = {"key": "f", "direction": "desc", "start_from": moment}
    expected = ByField("f", Direction.DESC, "2024-01-02T00:00:00+00:00")
    assert (await _resolved(store, query={"order_by": order})).scoring == expected
    sample = await _resolved(store, query={"sample": "random"}, offset=5)
    assert (sample.scoring, sample.offset) == (AtRandom(), 0)
    two = [{"query": [1, 0]}, {"query": [0, 1]}]
    for body, scoring in (
        ({"fusion": "rrf"}, ByReciprocalRank()),
        ({"fusion": "dbsf"}, ByDistribution()),
        ({"rrf": {}}, ByReciprocalRank(2)),
        ({"rrf": {"k": 60, "weights": [1, 2]}}, ByReciprocalRank(60, (1.0, 2.0))),
    ):
        assert (await _resolved(store, prefetch=two, query=body)).scoring == scoring
    formula = (await _resolved(store, prefetch=two, query={"formula": {"sum": ["$score"]}})).scoring
    assert isinstance(formula, ByFormula)
    assert formula.defaults == {}


async def test_a_tree_keeps_its_shape(store: _Reader) -> None:
    """Every node has its own filter, threshold, parameters and limit."""
    condition = Filter(must=[FieldCondition(key="a", match=MatchValue(value=1))])
    node = {
        "query": [1, 0],
        "filter": condition,
        "score_threshold": 0.5,
        "params": SearchParams(exact=True),
        "limit": 4,
    }
    query = await _resolved(
        store, prefetch=[{"prefetch": node, "query": {"sample": "random"}}], query=[0, 1], offset=3
    )
    [middle] = query.branches
    assert type(middle) is Branch
    assert (middle.scoring, middle.filter, middle.limit) == (AtRandom(), None, 10)
    [leaf] = middle.branches
    assert isinstance(leaf.scoring, ByVector)
    assert isinstance(leaf.scoring.scoring, Nearest)
    assert leaf.filter == condition
    assert (leaf.score_threshold, leaf.limit) == (0.5, 4)
    assert leaf.params == SearchParams(exact=True)
    assert query.filter is None


VECTOR = {"query": [1, 0]}
NO_QUERY = (
    "A query is needed to merge the prefetches. Can't have prefetches without defining a query."
)
WEIGHTS = "Validation failed: RRF weights length (2) does not match number of prefetches (1)"
MIDPOINT = "Validation failed: Linear decay midpoint should be in the range [0.0, 1.0], got 2."
NO_POSITIVES = "Validation failed: Positive vectors should not be empty with `average` strategy"
NO_SCORE = (
    "A query is needed to use the score_threshold. "
    "Can't have score_threshold without defining a query."
)


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        ({"prefetch": VECTOR}, BadRequest, f"Bad request: {NO_QUERY}"),
        ({"prefetch": {"prefetch": VECTOR}, **VECTOR}, BadRequest, f"Bad request: {NO_QUERY}"),
        ({"score_threshold": 0.1}, BadRequest, f"Bad request: {NO_SCORE}"),
        (
            {"score_threshold": 0.1, "query": {"order_by": "f"}},
            BadRequest,
            "Bad request: Can't use score_threshold with an order_by query.",
        ),
        (
            {"prefetch": VECTOR, "query": {"fusion": "rrf"}, "using": "b"},
            BadRequest,
            "Bad request: Fusion queries cannot be combined with the 'using' field.",
        ),
        (
            {"query": {"fusion": "rrf"}},
            WrongInput,
            "Wrong input: Validation failed: cannot apply Fusion without prefetches",
        ),
        (
            {"query": {"formula": 1.0}},
            WrongInput,
            "Wrong input: Validation failed: cannot apply Formula without prefetches",
        ),
        (
            {
                "prefetch": VECTOR,
                "query": {"formula": {"lin_decay": {"x": "n", "midpoint": 2.0}}},
            },
            WrongInput,
            f"Wrong input: {MIDPOINT}",
        ),
        (
            {"prefetch": VECTOR, "query": {"rrf": {"weights": [1, 2]}}},
            WrongInput,
            f"Wrong input: {WEIGHTS}",
        ),
        ({"query": 99}, PointNotFound, "Not found: No point with id 99 found"),
        (
            {"query": 2, "using": "b"},
            PointNotFound,
            'Not found: Vector with name "b" for point not found',
        ),
        (
            {"query": 1, "lookup_from": {"collection": "none"}},
            PointNotFound,
            "Not found: Collection none not found",
        ),
        (
            {"query": {"recommend": {"negative": [1]}}},
            WrongInput,
            f"Wrong input: {NO_POSITIVES}",
        ),
        (
            {"query": [[1, 2], [3]]},
            WrongInput,
            "Wrong input: Vector dimension error: expected dim: 2, got 1",
        ),
    ],
)
async def test_contradictions_are_refused_in_qdrants_words(
    store: _Reader, body: dict[str, Any], error: type[RequestError], text: str
) -> None:
    """Before anything is searched."""
    with pytest.raises(error) as raised:
        await _resolved(store, **body)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"query": {"text": "hello", "model": "m"}}, "query"),
        ({"query": {"nearest": {"text": "hello", "model": "m"}}}, "query.nearest"),
        (
            {
                "query": {"fusion": "rrf"},
                "prefetch": [
                    VECTOR,
                    {"query": {"recommend": {"positive": [1, {"image": "u", "model": "m"}]}}},
                ],
            },
            "prefetch[1].query.recommend.positive[1]",
        ),
        ({**VECTOR, "shard_key": "a"}, "shard_key"),
        (
            {"query": 1, "lookup_from": {"collection": "other", "shard_key": "a"}},
            "lookup_from.shard_key",
        ),
        ({"query": {"text": "hello"}, "using": "f"}, "query.text"),
    ],
)
async def test_what_cannot_be_answered_is_named(
    store: _Reader, body: dict[str, Any], path: str
) -> None:
    """By its path in the request."""
    with pytest.raises(Unsupported) as raised:
        await _resolved(store, **body)
    assert raised.value.path == path


async def test_a_tree_has_a_depth_of_64_at_most(store: _Reader) -> None:
    """As Qdrant, which counts the levels of prefetches."""

    def nested(levels: int) -> dict[str, Any]:
        body: dict[str, Any] = dict(VECTOR)
        for _ in range(levels):
            body = {"prefetch": body, **VECTOR}
        return body

    query = await _resolved(store, **nested(64))
    assert query.branches
    with pytest.raises(WrongInput, match="prefetches depth 65 exceeds max depth 64"):
        await _resolved(store, **nested(65))


async def test_limits_stay_what_stores_can_count(store: _Reader) -> None:
    """Qdrant takes all of 64 bits; limit and offset together must fit 63."""
    query = await _resolved(store, query=[1, 0], limit=2**64 - 1, offset=2**64 - 1)
    assert query.limit + query.offset < 2**63


class _OfTwoNames(_Reader):
    """Knows its vectors' names and refuses others at once, as Postgres does."""

    async def retrieve(self, collection: str, request: PointRequest) -> Any:
        if isinstance(request.with_vector, list) and set(request.with_vector) - {"", "b"}:
            raise WrongInput("Not existing vector name error: zz")
        return await super().retrieve(collection, request)


@pytest.mark.parametrize("place", [{}, {"lookup_from": {"collection": "other"}}])
async def test_a_point_that_is_not_there_comes_before_an_unknown_name(place: Any) -> None:
    """Qdrant looks for vectors in the points that it has found: with one of them the name is wrong."""
    store = _OfTwoNames()
    for name in ("own", "other"):
        await store.create_collection(name, CreateCollection())
        await store.apply(name, Upsert((Point(1, {"": _vector(1, 0)}, {}),)), wait=True)
    with pytest.raises(PointNotFound, match="No point with id 99 found"):
        await _resolved(store, query=99, using="zz", **place)
    with pytest.raises(WrongInput, match="Not existing vector name error: zz"):
        await _resolved(store, query={"recommend": {"positive": [1, 99]}}, using="zz", **place)
