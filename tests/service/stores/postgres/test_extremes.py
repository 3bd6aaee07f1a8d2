"""Vectors at the ends of float32, of length zero and in great number, against Qdrant's engine."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import qdrant_edge as edge

from service.errors import Unsupported
from service.model.ids import PointId
from service.model.operations import Upsert
from service.model.points import Point, SparseVector, VectorValue
from service.model.qdrant import CreateCollection
from service.model.queries import ByVector, Nearest, ResolvedQuery, SumScores, VectorScoring
from service.queries.leaves import Selection
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.config import engine_config
from service.stores.edge.queries import engine_query
from service.stores.edge.values import engine_point, our_id
from service.stores.postgres import catalog
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.scored import scored
from service.stores.postgres.store import PgStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

_NAME = "extremes"
_CONFIG: dict[str, Any] = {
    "vectors": {
        "euclid": {"size": 2, "distance": "Euclid"},
        "bytes": {"size": 2, "distance": "Cosine", "datatype": "uint8"},
    },
    "sparse_vectors": {"sparse": {}, "idf": {"modifier": "idf"}},
}
_HUGE, _TINY = 3e38, 1e-30
_ALL = Selection(limit=100)


def _sparse(entries: Mapping[int, float]) -> SparseVector:
    return SparseVector(
        np.array(list(entries), np.uint32), np.array(list(entries.values()), np.float32)
    )


def _dense(*values: float) -> Any:
    return np.array(values, np.float32)


_WEIGHT, _ASKED = 0.7310585, 3.6
_VECTORS: dict[int, dict[str, VectorValue]] = {
    1: {"sparse": _sparse({1: _HUGE}), "bytes": _dense(0, 0), "euclid": _dense(_HUGE, 0)},
    2: {"sparse": _sparse({2: _TINY}), "bytes": _dense(3, 4), "euclid": _dense(1, 0)},
    3: {"sparse": _sparse({3: 1e8, 4: 1.0, 5: -1e8})},
    4: {"idf": _sparse({1: _WEIGHT})},
    5: {"idf": _sparse({2: 1.0})},
    6: {"idf": _sparse({3: 1.0})},
}


class _Both:
    """The same points in Postgres and in the engine."""

    def __init__(self, conn: Connection, tables: CollectionTables, shard: edge.EdgeShard) -> None:
        self._conn = conn
        self._tables = tables
        self._shard = shard

    async def ours(
        self, scoring: VectorScoring, using: str, wanted: Selection
    ) -> dict[PointId, float]:
        found = await scored(self._conn, self._tables, ByVector(scoring, using), wanted)
        return {hit.id: hit.score for hit in found}

    def theirs(self, scoring: VectorScoring, using: str, wanted: Selection) -> dict[PointId, float]:
        query = ResolvedQuery(
            limit=wanted.limit,
            offset=0,
            scoring=ByVector(scoring, using),
            score_threshold=wanted.score_threshold,
        )
        found = self._shard.query(engine_query(query, boolean_matches(self._shard)))
        return {our_id(hit.id): hit.score for hit in found}

    async def agreed(
        self, scoring: VectorScoring, using: str, wanted: Selection = _ALL
    ) -> dict[PointId, float]:
        """Return the scores, which must be the same to the last bit."""
        ours = await self.ours(scoring, using, wanted)
        assert ours == self.theirs(scoring, using, wanted)
        return ours


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[_Both]:
    """The points, in both."""
    points = [Point(number, vectors, {}) for number, vectors in _VECTORS.items()]
    config = CreateCollection.model_validate(_CONFIG)
    shard = edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), engine_config(config))
    shard.update(edge.UpdateOperation.upsert_points([engine_point(each) for each in points]))
    database = await Database.open(module_database_url)
    store = PgStore(database)
    await store.create_collection(_NAME, config)
    await store.apply(_NAME, Upsert(points), wait=True)
    async with database.connection() as conn:
        yield _Both(conn, await catalog.get(conn, _NAME), shard)
    await store.delete_collection(_NAME)
    await database.close()
    shard.close()


async def test_products_beyond_float32_are_infinite_or_zero(both: _Both) -> None:
    """Neither is an error, as a plain cast from double to real would be."""
    assert await both.agreed(Nearest(_sparse({1: _HUGE})), "sparse") == {1: np.inf}
    likes = SumScores((_sparse({2: _TINY}),), ())
    assert (await both.agreed(likes, "sparse"))[2] == 0


async def test_large_terms_that_cancel_leave_the_small_one(both: _Both) -> None:
    """In float32 the sum would be nothing, or not, by the order of its terms."""
    query = _sparse({3: 1.0, 4: 1.0, 5: 1.0})
    assert await both.ours(Nearest(query), "sparse", _ALL) == {3: 1.0}


async def test_idf_weights_are_rounded_to_float32(both: _Both) -> None:
    """Before they are multiplied, which shows in the last bit."""
    documents, having, asked = 3, 1, np.float32(_ASKED)
    idf = float(np.log((documents - having + 0.5) / (having + 0.5) + 1))
    weight, held = float(asked) * idf, float(np.float32(_WEIGHT))
    score = float(np.float32(float(np.float32(weight)) * held))
    assert score != float(np.float32(weight * held)), "the rounding must show"
    query = Nearest(_sparse({1: float(asked)}))
    assert await both.ours(query, "idf", _ALL) == {4: score}
    assert both.theirs(query, "idf", _ALL) == pytest.approx({4: score}, rel=2e-7)


async def test_a_score_that_is_no_number_is_not_answered(both: _Both) -> None:
    """Infinity less infinity; a threshold still looks at the others."""
    apart = SumScores((_dense(0, 0),), (_dense(2, 2),))
    assert await both.ours(apart, "euclid", _ALL) == {2: 4.0}
    assert await both.ours(apart, "euclid", Selection(limit=9, score_threshold=100.0)) == {2: 4.0}
    alike = SumScores((_sparse({1: _HUGE}),), (_sparse({1: _HUGE}),))
    assert 1 not in await both.ours(alike, "sparse", _ALL)


async def test_a_vector_of_zeros_is_at_no_angle_to_anything(both: _Both) -> None:
    """Cosine of bytes, which are not normalised when they are stored."""
    likes = SumScores((_dense(3, 4),), ())
    assert await both.agreed(likes, "bytes") == {2: 1.0, 1: 0.0}
    assert await both.agreed(SumScores((_dense(0, 0),), ()), "bytes") == {1: 0.0, 2: 0.0}


async def test_as_many_examples_as_a_statement_has_columns(both: _Both) -> None:
    """More are refused before anything is asked of Postgres, whose error would name columns."""
    some = tuple(_dense(number, 1) for number in range(1_601))
    assert await both.ours(SumScores(some[:1_600], ()), "bytes", _ALL)
    with pytest.raises(Unsupported, match="query names more than 1600 vectors"):
        await both.ours(SumScores(some, ()), "bytes", _ALL)
