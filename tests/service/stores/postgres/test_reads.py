"""The leaves of queries that need no score, and the shape of what is read; the rest is in tests/contract."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.errors import CollectionNotFound, WrongInput
from service.model.columns import RecordColumns
from service.model.ids import PointId
from service.model.operations import ByIds, CreateIndex, Delete, DeleteIndex, Upsert
from service.model.points import FacetHit, Hit, Point, SparseVector, Vectors
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    FacetRequest,
    FieldCondition,
    Filter,
    MatchValue,
    Modifier,
    MultiVectorComparator,
    MultiVectorConfig,
    PointRequest,
    ScrollRequest,
    SparseVectorParams,
    VectorParams,
)
from service.queries.leaves import Selection
from service.stores.postgres import catalog, reads
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

NAME = "things"
UUID = "550e8400-e29b-41d4-a716-446655440000"
EVEN = Filter(must=[FieldCondition(key="even", match=MatchValue(value=True))])
ODD = Filter(must=[FieldCondition(key="even", match=MatchValue(value=False))])
CONFIG = CreateCollection(
    vectors={
        "a": VectorParams(size=2, distance=Distance.DOT),
        "m": VectorParams(
            size=2,
            distance=Distance.DOT,
            multivector_config=MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM),
        ),
    },
    sparse_vectors={"s": SparseVectorParams(modifier=Modifier.IDF)},
)


@pytest.fixture
async def store(database: Database) -> PgStore:
    """Ten points, one of them deleted, and one with a UUID that alone has a multivector and a sparse one."""
    opened = PgStore(database)
    await opened.create_collection(NAME, CONFIG)
    points = [
        Point(n, {"a": np.array([n, 1], np.float32)}, {"even": n % 2 == 0, "n": n})
        for n in range(10)
    ]
    rich: Vectors = {
        "m": np.array([[1, 2], [3, 4]], np.float32),
        "s": SparseVector(np.array([7, 2**32 - 1], np.uint32), np.array([1, 0.5], np.float32)),
    }
    await opened.apply(NAME, Upsert([*points, Point(UUID, rich, {"even": True})]), wait=True)
    await opened.apply(NAME, Delete(ByIds((4,))), wait=True)
    return opened


async def _by_id(database: Database, **selection: Any) -> list[Hit]:
    async with database.connection() as conn:
        return await reads.by_id(conn, await catalog.get(conn, NAME), Selection(**selection))


async def test_by_id(store: PgStore, database: Database) -> None:
    """In id order, with the score 1, restricted by everything a selection can say."""
    hits = await _by_id(database, limit=20)
    assert [hit.id for hit in hits] == [0, 1, 2, 3, 5, 6, 7, 8, 9, UUID]
    assert {hit.score for hit in hits} == {1.0}
    assert all(hit.payload is None and hit.vectors is None for hit in hits)
    among = (UUID, 9, 8, 6, 4, 2, 1)
    hits = await _by_id(database, limit=2, offset=1, filter=EVEN, among=among, excluded=(2,))
    assert [hit.id for hit in hits] == [8, UUID]
    assert await _by_id(database, limit=5, among=()) == []


async def test_what_a_hit_carries(store: PgStore, database: Database) -> None:
    """Payload and vectors as they were asked for; no name is an object without any."""
    [hit] = await _by_id(database, limit=1, with_payload=["n"], with_vector=["a"])
    assert (hit.payload, hit.version) == ({"n": 0}, hit.version)
    assert {name: np.asarray(v).tolist() for name, v in (hit.vectors or {}).items()} == {
        "a": [0, 1]
    }
    [hit] = await _by_id(database, limit=1, with_payload=[], with_vector=[])
    assert (hit.payload, hit.vectors) == ({}, {})
    with pytest.raises(WrongInput, match="Not existing vector name error: zz"):
        await _by_id(database, limit=1, with_vector=["zz"])


async def test_a_random_sample(store: PgStore, database: Database) -> None:
    """Only what is selected, no point twice, and not always the same ones in the same order."""

    async def sample(**selection: Any) -> list[PointId]:
        async with database.connection() as conn:
            tables = await catalog.get(conn, NAME)
            hits = await reads.at_random(conn, tables, Selection(**selection))
        assert {hit.score for hit in hits} <= {1.0}
        return [hit.id for hit in hits]

    samples = {tuple(await sample(limit=4, filter=ODD)) for _ in range(20)}
    assert all(
        len(each) == 4 == len(set(each)) and set(each) <= {1, 3, 5, 7, 9} for each in samples
    )
    assert len(samples) > 5
    assert len({frozenset(each) for each in samples}) > 1
    assert set(await sample(limit=50, among=(1, 2, 4, UUID), excluded=(2,))) == {1, UUID}
    assert len(await sample(limit=50, offset=3)) == 7


async def test_matching(store: PgStore, database: Database) -> None:
    """For every filter those of the points that are there and match it."""

    async def matching(ids: Sequence[PointId], *filters: Filter) -> list[set[PointId]]:
        async with database.connection() as conn:
            return await reads.matching(conn, await catalog.get(conn, NAME), ids, filters)

    everything = Filter()
    assert await matching([3, 4, 6, UUID, 99], EVEN, ODD, everything) == [
        {6, UUID},
        {3},
        {3, 6, UUID},
    ]
    assert await matching([], EVEN, ODD) == [set(), set()]
    assert await matching([1]) == []


async def test_a_page_comes_in_columns(store: PgStore) -> None:
    """Of every kind of vector; a part of the payload is put together point by point."""
    page = await store.scroll(NAME, ScrollRequest(limit=20, with_vector=True))
    assert isinstance(page.records, RecordColumns)
    first, last = page.records[0], page.records[-1]
    assert (first.id, first.payload) == (0, {"even": True, "n": 0})
    assert np.asarray((first.vectors or {})["a"]).tolist() == [0, 1]
    assert set(last.vectors or {}) == {"m", "s"}
    assert np.asarray((last.vectors or {})["m"]).tolist() == [[1, 2], [3, 4]]
    sparse = (last.vectors or {})["s"]
    assert isinstance(sparse, SparseVector)
    assert (sparse.indices.tolist(), sparse.values.tolist()) == ([7, 2**32 - 1], [1, 0.5])

    part = await store.scroll(NAME, ScrollRequest(limit=1, with_payload=["n"]))
    assert [record.payload for record in part.records] == [{"n": 0}]
    bare = await store.scroll(NAME, ScrollRequest(limit=20, with_payload=False))
    assert all(record.payload is None and record.vectors is None for record in bare.records)
    assert len(bare.records) == 10
    none = await store.scroll(NAME, ScrollRequest(limit=1, with_vector=[]))
    assert none.records[0].vectors == {}


async def test_dense_vectors_of_many_points(store: PgStore) -> None:
    """Where each point has one, they are converted together; the values are the same."""
    page = await store.scroll(NAME, ScrollRequest(limit=9, with_vector=["a"], with_payload=False))
    vectors = [np.asarray((record.vectors or {})["a"]) for record in page.records]
    assert [vector.tolist() for vector in vectors] == [[n, 1] for n in (0, 1, 2, 3, 5, 6, 7, 8, 9)]
    assert {vector.dtype for vector in vectors} == {np.dtype(np.float32)}


async def test_what_another_instance_changed_is_noticed(store: PgStore, database: Database) -> None:
    """A read that knows the collection from before asks the catalogue again, also where there is no row to read."""
    index, facet = CreateIndex("n", "integer"), FacetRequest(key="n", limit=1)
    await store.apply(NAME, index, wait=True)
    other = PgStore(database)

    async def answers() -> tuple[int, list[PointId], list[PointId]]:
        page = await other.scroll(NAME, ScrollRequest(limit=100))
        found = await other.retrieve(NAME, PointRequest(ids=[1, 2]))
        count = await other.count(NAME, CountRequest())
        return count, [each.id for each in page.records], [each.id for each in found]

    assert (await answers())[0] == 10
    assert await other.facet(NAME, facet) == [FacetHit(0, 1)]
    await store.apply(NAME, DeleteIndex("n"), wait=True)
    with pytest.raises(WrongInput, match="No appropriate index"):
        await other.facet(NAME, facet)

    await store.delete_collection(NAME)
    await store.create_collection(NAME, CONFIG)
    assert await answers() == (0, [], [])
    await store.apply(NAME, Upsert([Point(1, {}, {})]), wait=True)
    assert await answers() == (1, [1], [1])
    await store.delete_collection(NAME)
    for read in (
        other.scroll(NAME, ScrollRequest()),
        other.retrieve(NAME, PointRequest(ids=[1])),
        other.count(NAME, CountRequest()),
        other.facet(NAME, facet),
    ):
        with pytest.raises(CollectionNotFound):
            await read
