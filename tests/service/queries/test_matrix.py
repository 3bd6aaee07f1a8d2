"""Distances among a sample of points, on Postgres."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from qdrant_client import QdrantClient, models

from service.model.operations import Upsert
from service.model.points import Point, SparseVector
from service.model.qdrant import CreateCollection, SearchMatrixRequest
from service.queries.matrix import Matrix, distance_matrix
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

NAME = "matrix"
POINTS = 20
UUIDS = [f"00000000-0000-0000-0000-{number:012d}" for number in range(2)]


def _line(number: int) -> Point:
    """A point on a line; every fourth has no dense vector."""
    dense = {} if number % 4 == 0 else {"": np.asarray([number, 0], dtype=np.float32)}
    term = SparseVector(np.asarray([number % 2], np.uint32), np.asarray([number], np.float32))
    return Point(number, {**dense, "terms": term}, {"n": number})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(module_database_url: str) -> AsyncIterator[PgStore]:
    """Postgres with points on a line, two of them with UUIDs."""
    database = await Database.open(module_database_url)
    store = PgStore(database)
    config = {"vectors": {"size": 2, "distance": "Euclid"}, "sparse_vectors": {"terms": {}}}
    await store.create_collection(NAME, CreateCollection.model_validate(config))
    points = [_line(number) for number in range(POINTS)]
    points += [
        Point(name, {"": np.asarray([100 + at, 0], dtype=np.float32)}, {"n": 100 + at})
        for at, name in enumerate(UUIDS)
    ]
    await store.apply(NAME, Upsert(tuple(points)), wait=True)
    yield store
    await store.delete_collection(NAME)
    await database.close()


async def _matrix(store: PgStore, **body: object) -> Matrix:
    return await distance_matrix(store, NAME, SearchMatrixRequest.model_validate(body))


def _below(number: int) -> dict[str, object]:
    return {"must": [{"key": "n", "range": {"lt": number}}]}


@pytest.mark.asyncio(loop_scope="module")
async def test_every_point_has_its_nearest_others(store: PgStore) -> None:
    """Only points that have the vector and match are in the sample; none is its own neighbour."""
    matrix = await _matrix(store, filter=_below(8), sample=50, limit=2)
    assert matrix.ids == [1, 2, 3, 5, 6, 7]
    assert [(one.a, one.b, one.score) for one in matrix.neighbours if one.a == 1] == [
        (1, 2, 1.0),
        (1, 3, 2.0),
    ]
    assert [one.a for one in matrix.neighbours] == [1, 1, 2, 2, 3, 3, 5, 5, 6, 6, 7, 7]
    assert all(one.a != one.b for one in matrix.neighbours)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_sample_is_no_larger_than_asked_for(store: PgStore) -> None:
    """Ten points and three neighbours by default, the neighbours from the sample; integers before UUIDs."""
    matrix = await _matrix(store)
    assert len(matrix.ids) == 10
    assert len(matrix.neighbours) == 30
    assert {one.b for one in matrix.neighbours} <= set(matrix.ids)
    whole = await _matrix(store, sample=100, limit=1)
    assert whole.ids[-2:] == UUIDS
    assert (whole.neighbours[-1].b, whole.neighbours[-1].score) == (UUIDS[0], 1.0)


@pytest.mark.asyncio(loop_scope="module")
async def test_of_one_point_there_is_no_matrix(store: PgStore) -> None:
    """Nor of none."""
    for bound in (0, 2):
        assert await _matrix(store, filter=_below(bound)) == Matrix([], [])


@pytest.mark.asyncio(loop_scope="module")
async def test_sparse_points_have_only_neighbours_that_share_an_index(store: PgStore) -> None:
    """The others have no score at all."""
    matrix = await _matrix(store, filter=_below(6), using="terms", sample=10, limit=5)
    assert matrix.ids == [0, 1, 2, 3, 4, 5]
    pairs = {(one.a, one.b): one.score for one in matrix.neighbours}
    assert pairs[1, 3] == 3.0
    assert all(isinstance(b, int) and (a + b) % 2 == 0 for a, b in pairs if isinstance(a, int))


@pytest.mark.asyncio(loop_scope="module")
async def test_no_point_has_an_unknown_vector(store: PgStore) -> None:
    """So there is no matrix, and no error either."""
    assert await _matrix(store, using="other") == Matrix([], [])


def _local_client() -> QdrantClient:
    """The client's own engine with the same points: the second oracle, since Qdrant's engine has no matrix."""
    client = QdrantClient(":memory:")
    params = models.VectorParams(size=2, distance=models.Distance.EUCLID)
    client.create_collection(NAME, vectors_config=params)
    points = [_line(number) for number in range(POINTS) if number % 4]
    client.upsert(
        NAME,
        [
            models.PointStruct(
                id=point.id, vector=np.asarray(point.vectors[""]).tolist(), payload=point.payload
            )
            for point in points
        ],
    )
    return client


@pytest.mark.asyncio(loop_scope="module")
async def test_all_pairs_are_those_of_the_clients_own_engine(store: PgStore) -> None:
    """With a sample as large as the collection nothing is left to chance but who is last among equals."""
    with_local = _local_client().search_matrix_pairs(
        NAME,
        limit=3,
        sample=1000,
        query_filter=models.Filter.model_validate(_below(POINTS)),
    )
    ours = await _matrix(store, filter=_below(POINTS), sample=1000, limit=3)
    # The points lie on a line, a whole number apart.
    assert sorted((one.a, round(one.score)) for one in ours.neighbours) == sorted(
        (pair.a, round(pair.score)) for pair in with_local.pairs
    )
