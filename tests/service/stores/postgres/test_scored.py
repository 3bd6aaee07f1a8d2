"""Scores of every kind of vector, distance and scoring, against Qdrant's engine."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import qdrant_edge as edge

from service.errors import WrongInput
from service.model.ids import PointId
from service.model.operations import Delete, Upsert
from service.model.points import Point, SparseVector, VectorValue
from service.model.qdrant import (
    CreateCollection,
    FieldCondition,
    Filter,
    HasIdCondition,
    IdfCorpusParams,
    MatchValue,
    SearchParams,
)
from service.model.queries import (
    BestScore,
    ByVector,
    Context,
    Discover,
    Feedback,
    Nearest,
    ResolvedQuery,
    SumScores,
    VectorScoring,
)
from service.queries.leaves import Selection
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.config import engine_config
from service.stores.edge.queries import engine_query
from service.stores.edge.values import engine_point, our_id
from service.stores.postgres import catalog, rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.ranked import hits
from service.stores.postgres.scored import scored, statement
from service.stores.postgres.shapes import shape
from service.stores.postgres.store import PgStore
from tests.contract.samples import ids

pytestmark = pytest.mark.asyncio(loop_scope="module")

_SIZE = 5
_POINTS = 40
_DELETED = 5
_DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")
_DATATYPES = ("float32", "float16", "uint8")
_DENSE = [
    f"{kind}_{distance}_{datatype}"
    for kind in ("dense", "multi")
    for distance in _DISTANCES
    for datatype in _DATATYPES
]
_SPARSE = ["sparse", "idf"]
_FEW_TERMS = np.array([0, 1, 2, 5, 7, 11, 2**31, 10**9 + 1, 2**32 - 1], np.uint32)

_Random = np.random.Generator


@dataclass(frozen=True)
class Both:
    """One collection with a vector of each kind, in Postgres and in the engine."""

    conn: Connection
    tables: CollectionTables
    shard: edge.EdgeShard

    async def ours(self, wanted: ByVector, selection: Selection) -> dict[PointId, float]:
        """Scores by point, best first."""
        found = await scored(self.conn, self.tables, wanted, selection)
        return {hit.id: hit.score for hit in found}

    def theirs(self, wanted: ByVector, selection: Selection) -> dict[PointId, float]:
        """Scores by point, best first."""
        query = ResolvedQuery(
            limit=selection.limit,
            offset=selection.offset,
            scoring=wanted,
            filter=selection.filter,
            score_threshold=selection.score_threshold,
            params=selection.params,
            excluded=selection.excluded,
        )
        found = self.shard.query(engine_query(query, boolean_matches(self.shard)))
        return {our_id(hit.id): hit.score for hit in found}


def _config() -> CreateCollection:
    vectors: dict[str, Any] = {}
    for name in _DENSE:
        kind, distance, datatype = name.split("_")
        vectors[name] = {"size": _SIZE, "distance": distance, "datatype": datatype}
        if kind == "multi":
            vectors[name]["multivector_config"] = {"comparator": "max_sim"}
    sparse = {"sparse": {}, "idf": {"modifier": "idf"}}
    return CreateCollection.model_validate({"vectors": vectors, "sparse_vectors": sparse})


def _vector(random: _Random, name: str) -> VectorValue:
    if name in _SPARSE:
        indices = random.choice(_FEW_TERMS, random.integers(0, 6), replace=False)
        return SparseVector(indices, _values(random, len(indices)))
    scale = 80 if name.endswith("uint8") else 1
    shape = (random.integers(1, 4), _SIZE) if name.startswith("multi") else (_SIZE,)
    value: VectorValue = (random.normal(0.3, 1, shape) * scale).astype(np.float32)
    return value


def _values(random: _Random, count: int) -> Any:
    return random.choice([0.0, 0.5, 1.0, -1.0, 2.0, 0.3333], count).astype(np.float32)


def _points(random: _Random) -> list[Point]:
    points = []
    for number in range(_POINTS):
        having = [name for name in (*_DENSE, *_SPARSE) if random.random() < 0.9]
        if number == _DELETED and "idf" in having:
            # Deleted vectors stay in the engine's statistics until it rebuilds its index.
            having.remove("idf")
        vectors = {name: _vector(random, name) for name in having}
        points.append(Point(number, vectors, {"group": number % 3}))
    return points


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Both]:
    """The same points in both; one is overwritten and one deleted."""
    random = np.random.default_rng(7)
    points, config = _points(random), _config()
    shard = edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), engine_config(config))
    database = await Database.open(module_database_url)
    store = PgStore(database)
    await store.create_collection("kinds", config)
    again = replace(_points(random)[3], id=3)
    for some in (points, [again]):
        await store.apply("kinds", Upsert(some), wait=True)
        shard.update(edge.UpdateOperation.upsert_points([engine_point(each) for each in some]))
    await store.apply("kinds", Delete(ids(_DELETED)), wait=True)
    shard.update(edge.UpdateOperation.delete_points([_DELETED]))
    async with database.connection() as conn:
        yield Both(conn, await catalog.get(conn, "kinds"), shard)
    await store.delete_collection("kinds")
    await database.close()
    shard.close()


def _some(random: _Random, name: str, least: int, most: int) -> tuple[VectorValue, ...]:
    return tuple(_vector(random, name) for _ in range(random.integers(least, most + 1)))


_SCORINGS: dict[str, Callable[[_Random, str], VectorScoring]] = {
    "nearest": lambda r, n: Nearest(_vector(r, n)),
    "best_score": lambda r, n: BestScore(_some(r, n, 1, 3), _some(r, n, 0, 3)),
    "best_negative": lambda r, n: BestScore((), _some(r, n, 1, 3)),
    "sum_scores": lambda r, n: SumScores(_some(r, n, 1, 3), _some(r, n, 0, 3)),
    "discover": lambda r, n: Discover(_vector(r, n), _pairs(r, n)),
    "context": lambda r, n: Context(_pairs(r, n)),
    "feedback": lambda r, n: Feedback(
        _vector(r, n),
        tuple((each, float(r.choice([0, 0.25, 0.5, 1]))) for each in _some(r, n, 0, 4)),
        *(float(x) for x in r.choice([0.5, 1, 2], 3)),
    ),
}


def _pairs(random: _Random, name: str) -> tuple[tuple[VectorValue, VectorValue], ...]:
    return tuple(zip(_some(random, name, 3, 3), _some(random, name, 1, 3), strict=False))


def _selections(scores: Sequence[float]) -> list[Selection]:
    """Everything a leaf can be asked for; thresholds between two of the scores."""
    third = Filter(must=[FieldCondition(key="group", match=MatchValue(value=1))])
    between = [
        (a + b) / 2
        for a, b in zip(scores[2::16], scores[3::16], strict=False)
        if abs(a - b) > 1e-3 * abs(a)
    ]
    return [
        Selection(limit=100),
        Selection(limit=100, filter=third),
        Selection(limit=100, filter=Filter(), excluded=(0, 1, 2, 3)),
        Selection(limit=100, score_threshold=0.0),
        *(Selection(limit=100, score_threshold=threshold) for threshold in between),
        Selection(limit=100, score_threshold=1e6),
    ]


def _assert_same(ours: dict[PointId, float], theirs: dict[PointId, float], scale: float) -> None:
    """The same points with the same scores, in an order that the scores allow."""
    assert ours.keys() == theirs.keys()
    for point_id, score in theirs.items():
        assert ours[point_id] == pytest.approx(score, rel=1e-6, abs=1e-6 * scale), point_id
    descending = list(theirs.values()) == sorted(theirs.values(), reverse=True)
    assert list(ours.values()) == sorted(ours.values(), reverse=descending)


@pytest.mark.parametrize("scoring", _SCORINGS)
@pytest.mark.parametrize("name", [*_DENSE, *_SPARSE])
async def test_scores_are_the_engines(both: Both, name: str, scoring: str) -> None:
    """Filtered, with points left out, and with a threshold, whose sense the distance gives."""
    random = np.random.default_rng([_DENSE.index(name) if name in _DENSE else 99, 5])
    wanted = ByVector(_SCORINGS[scoring](random, name), name)
    everything = both.theirs(wanted, Selection(limit=100))
    # Terms that cancel leave the rounding of the largest one.
    scale = max((abs(score) for score in everything.values()), default=1.0) + 1.0
    for selection in _selections(list(everything.values())):
        theirs = both.theirs(wanted, selection)
        _assert_same(await both.ours(wanted, selection), theirs, scale)


@pytest.mark.parametrize("name", _SPARSE)
async def test_sums_of_zero(both: Both, name: str) -> None:
    """A point whose entries cancel is answered where a filter is, otherwise not; one without overlap never."""
    wanted = ByVector(Nearest(_sparse({0: 1.0, 1: 0.0})), name)
    third = Filter(must=[FieldCondition(key="group", match=MatchValue(value=1))])
    for selection in (Selection(limit=100), Selection(limit=100, filter=third)):
        ours, theirs = await both.ours(wanted, selection), both.theirs(wanted, selection)
        assert ours == pytest.approx(theirs, rel=1e-6)
        assert (0.0 in theirs.values()) is (selection.filter is not None)


@pytest.mark.parametrize("scoring", _SCORINGS)
@pytest.mark.parametrize("name", _SPARSE)
async def test_entries_are_looked_up(both: Both, name: str, scoring: str) -> None:
    """Those of the points that match a filter, as when they are few."""
    wanted = ByVector(_SCORINGS[scoring](np.random.default_rng(3), name), name)
    third = Filter(must=[FieldCondition(key="group", match=MatchValue(value=1))])
    read = shape(both.tables, None, None)
    for selection in (
        Selection(limit=100, filter=third),
        Selection(limit=100, filter=third, excluded=(1, 4)),
    ):
        found = statement(both.tables, wanted, selection, read, by_points=True)
        assert "MATERIALIZED" in found.render()[0]
        ours = {hit.id: hit.score for hit in hits(await rows.fetch(both.conn, found), read)}
        _assert_same(ours, both.theirs(wanted, selection), 20.0)
        assert ours or scoring == "nearest"


async def test_statistics_of_a_corpus(both: Both) -> None:
    """IDF over the points that a filter names; empty vectors are documents there."""
    corpus = Filter(must=[FieldCondition(key="group", match=MatchValue(value=2))])
    params = SearchParams(idf=IdfCorpusParams(corpus=corpus))
    wanted = ByVector(Nearest(_sparse({0: 1.0, 7: 0.5, 2**32 - 1: 2.0})), "idf")
    selection = Selection(limit=100, params=params)
    theirs = both.theirs(wanted, selection)
    assert await both.ours(wanted, selection) == pytest.approx(theirs, rel=1e-6)
    assert theirs != both.theirs(wanted, Selection(limit=100))


async def test_pages(both: Both) -> None:
    """An offset skips the best; a threshold of a distance looks at the best all the same."""
    wanted = ByVector(SumScores((np.ones(_SIZE, np.float32),), ()), "dense_Euclid_float32")
    whole = both.theirs(wanted, Selection(limit=100))
    for selection in (
        Selection(limit=5, offset=3),
        Selection(limit=5, offset=3, score_threshold=max(whole.values()) + 1),
        Selection(limit=5, offset=3, score_threshold=max(whole.values()) - 1e-3),
    ):
        ours, theirs = await both.ours(wanted, selection), both.theirs(wanted, selection)
        assert list(ours) == list(theirs)


@pytest.mark.parametrize("name", ["dense_Euclid_float32", "multi_Dot_float16", "idf"])
@pytest.mark.parametrize("scoring", ["nearest", "best_score"])
async def test_points_among_some(both: Both, name: str, scoring: str) -> None:
    """With the scores that they have among all: statistics are of the whole collection."""
    wanted = ByVector(_SCORINGS[scoring](np.random.default_rng(1), name), name)
    some = (1, 2, 3, 4, 6, 7, 8, 77)
    chosen = Filter(must=[HasIdCondition(has_id=list(some))])
    theirs = both.theirs(wanted, Selection(limit=100, filter=chosen))
    ours = await both.ours(wanted, Selection(limit=100, among=some))
    _assert_same(ours, theirs, 2.0)
    assert len(ours) > 1


@pytest.mark.parametrize(
    ("name", "vector", "text"),
    [
        ("dense_Dot_float32", np.ones(4), "Vector dimension error: expected dim: 5, got 4"),
        ("dense_Dot_float32", np.ones((1, 5)), "Conversion between multi and regular"),
        ("multi_Dot_float32", np.ones((2, 4)), "Vector dimension error: expected dim: 5, got 4"),
        ("multi_Dot_float32", np.ones((0, 5)), "Vector dimension error: expected dim: 5, got 0"),
        ("sparse", np.ones(5), "Conversion between sparse and regular"),
        ("nobody", np.ones(5), "Not existing vector name error: nobody"),
    ],
)
async def test_vectors_that_do_not_fit(both: Both, name: str, vector: Any, text: str) -> None:
    """Refused with Qdrant's texts."""
    wanted = ByVector(BestScore((vector.astype(np.float32),), ()), name)
    with pytest.raises(WrongInput, match=text):
        await both.ours(wanted, Selection(limit=1))


def _sparse(entries: dict[int, float]) -> SparseVector:
    return SparseVector(
        np.array(list(entries), np.uint32), np.array(list(entries.values()), np.float32)
    )
