"""The engine as a store: collections, reads, writes and what a kill leaves behind."""

import asyncio
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from service.errors import (
    CollectionExists,
    CollectionNotFound,
    ConfigurationError,
    PointNotFound,
    SourceUnavailable,
    WrongInput,
)
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    Delete,
    DeleteIndex,
    DeletePayload,
    DeleteVectors,
    OverwritePayload,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import UNNAMED, Point, SparseVector, VectorValue
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    HnswConfigDiff,
    MatchValue,
    MultiVectorComparator,
    MultiVectorConfig,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    SparseVectorParams,
    UpdateCollection,
    UpdateMode,
    UpdateStatus,
    VectorParams,
)
from service.model.qdrant import SparseVector as WireSparseVector
from service.stores.edge.settings import EngineSettings
from service.stores.edge.store import EdgeStore
from tests.service.stores.edge.data import fill, plain, point, where

pytestmark = pytest.mark.asyncio(loop_scope="session")

UUID = "12345678-1234-5678-1234-567812345678"
EVERY_KIND = CreateCollection(
    vectors={
        "dense": VectorParams(size=3, distance=Distance.COSINE),
        "multi": VectorParams(
            size=2,
            distance=Distance.DOT,
            multivector_config=MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM),
        ),
    },
    sparse_vectors={"sparse": SparseVectorParams()},
)


async def test_collections_come_and_go(store: EdgeStore) -> None:
    """Creating twice is refused, dropping twice is false, names are sorted and may hold anything."""
    names = ["b", "a/..", "ü" * 200]
    for name in names:
        assert await store.create_collection(name, plain())
    assert await store.collections() == sorted(names)
    with pytest.raises(CollectionExists, match="Collection `b` already exists!"):
        await store.create_collection("b", plain())
    assert await store.delete_collection("b")
    assert not await store.delete_collection("b")
    assert not await store.has_collection("b")
    with pytest.raises(CollectionNotFound, match="Collection `b` doesn't exist!"):
        await store.count("b", CountRequest())


async def test_points_return_as_written(store: EdgeStore) -> None:
    """Every kind of vector, both kinds of id and a nested payload survive a round trip."""
    await store.create_collection("c", EVERY_KIND)
    payload = {"a": {"b": [1, 2.5, None, True]}, "big": 2**53 + 1}
    vectors: dict[str, VectorValue] = {
        "dense": np.array([3, 0, 4], np.float32),
        "multi": np.array([[1, 2], [3, 4]], np.float32),
        "sparse": SparseVector(np.array([7, 1], np.uint32), np.array([0.5, 2], np.float32)),
    }
    points = [Point(2**64 - 1, vectors, payload), Point(UUID, {}, {})]
    await store.apply("c", Upsert(points), wait=True)
    request = PointRequest(
        ids=[UUID, 5, 2**64 - 1, UUID.upper()], with_payload=True, with_vector=True
    )
    bare, full = await store.retrieve("c", request)
    assert (bare.id, bare.payload, bare.vectors) == (UUID, {}, {})
    assert (full.id, full.payload) == (2**64 - 1, payload)
    assert full.vectors is not None
    assert np.allclose(np.asarray(full.vectors["dense"]), [0.6, 0, 0.8])
    assert np.array_equal(np.asarray(full.vectors["multi"]), [[1, 2], [3, 4]])
    sparse = full.vectors["sparse"]
    assert isinstance(sparse, SparseVector)
    assert sparse.indices.tolist() == [1, 7]
    assert sparse.values.tolist() == [2.0, 0.5]


async def test_scroll_pages_integers_before_uuids(store: EdgeStore) -> None:
    """Pages follow the order of ids, the next id is the first of the next page and the last page has none."""
    await store.create_collection("c", plain())
    points = [point(3), Point(UUID, {}, {}), point(1), point(2)]
    await store.apply("c", Upsert(points), wait=True)
    first = await store.scroll("c", ScrollRequest(limit=2))
    assert [record.id for record in first.records] == [1, 2]
    assert first.records[0].payload == {}
    second = await store.scroll("c", ScrollRequest(limit=2, offset=first.next_id))
    assert [record.id for record in second.records] == [3, UUID]
    assert second.next_id is None


async def test_scroll_orders_by_an_indexed_field(store: EdgeStore) -> None:
    """Ordering needs an index, as in Qdrant."""
    await fill(store, "c", [{"n": 2}, {"n": 3}, {"n": 1}])
    with pytest.raises(WrongInput, match="No range index for `order_by` key: `n`"):
        await store.scroll("c", ScrollRequest(order_by="n"))
    await store.apply("c", CreateIndex("n", "integer"), wait=True)
    page = await store.scroll("c", ScrollRequest(order_by="n"))
    assert [record.id for record in page.records] == [2, 0, 1]


async def test_searches_every_kind_of_vector(store: EdgeStore) -> None:
    """Dense, multi and sparse vectors are scored; a point's id stands for its vector and is left out."""
    await store.create_collection("c", EVERY_KIND)
    points = [
        Point(
            number,
            {
                "dense": np.array([1, number, 0], np.float32),
                "multi": np.array([[number, 0]], np.float32),
                "sparse": SparseVector(np.array([number], np.uint32), np.array([2.0], np.float32)),
            },
            {},
        )
        for number in range(1, 5)
    ]
    await store.apply("c", Upsert(points), wait=True)
    dense = await store.query("c", QueryRequest(query=[1.0, 4.0, 0.0], using="dense", limit=2))
    assert [hit.id for hit in dense] == [4, 3]
    assert dense[0].score == pytest.approx(1.0)
    multi = await store.query(
        "c", QueryRequest(query=[[1.0, 0.0], [2.0, 0.0]], using="multi", limit=1)
    )
    assert (multi[0].id, multi[0].score) == (4, 12.0)
    sparse = WireSparseVector(indices=[3], values=[5.0])
    found = await store.query("c", QueryRequest(query=sparse, using="sparse"))
    assert [(hit.id, hit.score) for hit in found] == [(3, 10.0)]
    by_id = await store.query("c", QueryRequest(query=4, using="dense", limit=2))
    assert [hit.id for hit in by_id] == [3, 2]
    with pytest.raises(PointNotFound, match="No point with id 99 found"):
        await store.query("c", QueryRequest(query=99, using="dense"))
    with pytest.raises(WrongInput, match="Not existing vector name error: nope"):
        await store.query("c", QueryRequest(query=[1.0], using="nope"))
    with pytest.raises(PointNotFound, match="Collection d not found"):
        await store.query(
            "c",
            QueryRequest.model_validate(
                {"query": 4, "using": "dense", "lookup_from": {"collection": "d"}}
            ),
        )


async def test_query_without_a_query_is_a_scroll(store: EdgeStore) -> None:
    """It answers in id order with score 1.0."""
    await fill(store, "c", [{}, {}, {}])
    hits = await store.query("c", QueryRequest(limit=2))
    assert [(hit.id, hit.score) for hit in hits] == [(0, 1.0), (1, 1.0)]


async def test_fusion_of_prefetches(store: EdgeStore) -> None:
    """Reciprocal ranks with Qdrant's k of 2: first of two lists scores 1/2 + 1/2."""
    await fill(store, "c", [{}, {}, {}])
    leaf = {"query": [1.0, 0.0, 0.0, 0.0], "limit": 3}
    request = QueryRequest.model_validate({"prefetch": [leaf, leaf], "query": {"fusion": "rrf"}})
    hits = await store.query("c", request)
    assert (hits[0].id, hits[0].score) == (2, 1.0)
    assert len(hits) == 3


async def test_a_wrong_dimension_spoils_nothing(store: EdgeStore) -> None:
    """A batch with one wrong vector is refused before any of its points is written, with and without waiting."""
    await store.create_collection("c", plain())
    short = Point(2, {UNNAMED: np.ones(3, np.float32)}, {})
    for wait in (True, False):
        with pytest.raises(WrongInput, match="expected dim: 4, got 3"):
            await store.apply("c", Upsert([point(1), short]), wait=wait)
    assert await store.count("c", CountRequest()) == 0
    result = await store.apply("c", Upsert([point(1)]), wait=True)
    assert result.operation_id == 0


async def test_every_operation_on_payloads(store: EdgeStore) -> None:
    """Merging, merging at a path, replacing, removing and clearing do what Qdrant does."""
    await fill(store, "c", [{"a": 1, "n": {"x": 1}}, {"a": 2}])

    async def payload(number: int = 0) -> object:
        found = await store.retrieve("c", PointRequest(ids=[number], with_payload=True))
        return found[0].payload

    zero = ByIds((0,))
    await store.apply("c", SetPayload(zero, {"a": None, "b": 2}), wait=True)
    assert await payload() == {"n": {"x": 1}, "b": 2}
    await store.apply("c", SetPayload(zero, {"y": 3}, key="n"), wait=True)
    assert await payload() == {"n": {"x": 1, "y": 3}, "b": 2}
    await store.apply("c", DeletePayload(zero, ("n.x",)), wait=True)
    assert await payload() == {"n": {"y": 3}, "b": 2}
    by_filter = ByFilter(where("b", MatchValue(value=2)))
    await store.apply("c", OverwritePayload(by_filter, {"c": None}), wait=True)
    assert await payload() == {"c": None}
    await store.apply("c", ClearPayload(zero), wait=True)
    assert await payload() == {}
    assert await payload(1) == {"a": 2}
    with pytest.raises(PointNotFound, match="No point with id 9 found"):
        await store.apply("c", SetPayload(ByIds((9,)), {"a": 1}), wait=True)


async def test_conditional_upserts(store: EdgeStore) -> None:
    """``update_filter`` spares existing points that do not match; the modes insert or update only."""
    await fill(store, "c", [{"v": 1}])
    only = where("v", MatchValue(value=2))
    await store.apply("c", Upsert([point(0, {"v": 9}), point(1)], update_filter=only), wait=True)
    await store.apply(
        "c",
        Upsert([point(0, {"v": 8}), point(2)], update_mode=UpdateMode.INSERT_ONLY),
        wait=True,
    )
    await store.apply(
        "c",
        Upsert([point(1, {"v": 7}), point(3)], update_mode=UpdateMode.UPDATE_ONLY),
        wait=True,
    )
    page = await store.scroll("c", ScrollRequest())
    found = {record.id: record.payload for record in page.records}
    assert found == {0: {"v": 1}, 1: {"v": 7}, 2: {}}


async def test_vectors_are_replaced_and_removed(store: EdgeStore) -> None:
    """Other vectors and the payload stay."""
    await store.create_collection("c", EVERY_KIND)
    dense, multi = np.array([1, 0, 0], np.float32), np.array([[1, 1]], np.float32)
    first = Point(1, {"dense": dense, "multi": multi}, {"p": 1})
    await store.apply("c", Upsert([first]), wait=True)
    turned = np.array([0, 1, 0], np.float32)
    await store.apply("c", UpdateVectors([(1, {"dense": turned})]), wait=True)
    await store.apply("c", DeleteVectors(ByIds((1,)), ("multi",)), wait=True)
    (record,) = await store.retrieve(
        "c", PointRequest(ids=[1], with_payload=True, with_vector=True)
    )
    assert record.payload == {"p": 1}
    assert record.vectors is not None
    assert set(record.vectors) == {"dense"}
    assert np.array_equal(np.asarray(record.vectors["dense"]), turned)
    with pytest.raises(PointNotFound, match="No point with id 99 found"):
        await store.apply("c", UpdateVectors([(99, {"dense": turned})]), wait=True)
    with pytest.raises(WrongInput, match="Not existing vector name error: zz"):
        await store.apply("c", DeleteVectors(ByIds((1,)), ("zz",)), wait=True)


async def test_a_collection_without_vectors(store: EdgeStore) -> None:
    """It holds payloads, and nothing shows of the vector the engine needed at its creation."""
    await store.create_collection("c", CreateCollection())
    await store.apply("c", Upsert([Point(1, {}, {"a": 1})]), wait=True)
    (record,) = await store.retrieve(
        "c", PointRequest(ids=[1], with_payload=True, with_vector=True)
    )
    assert (record.payload, record.vectors) == ({"a": 1}, {})
    params = (await store.collection_info("c")).config.params
    assert params.vectors == {}
    assert params.sparse_vectors is None


async def test_info_echoes_the_request_with_defaults(store: EdgeStore) -> None:
    """What was asked for stands beside Qdrant's defaults; indexes come and go."""
    await store.create_collection("c", plain(hnsw_config=HnswConfigDiff(m=8)))
    schema = {"type": "text", "tokenizer": "word", "lowercase": True}
    await store.apply("c", CreateIndex("t", schema), wait=True)
    await store.apply("c", CreateIndex("n", "integer"), wait=True)
    info = await store.collection_info("c")
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (8, 100)
    assert info.config.optimizer_config.indexing_threshold == 10_000
    assert info.payload_schema["n"].data_type == "integer"
    assert info.payload_schema["t"].params is not None
    assert info.payload_schema["t"].params.model_dump()["lowercase"] is True
    await store.apply("c", DeleteIndex("n"), wait=True)
    assert set((await store.collection_info("c")).payload_schema) == {"t"}
    await store.update_collection(
        "c", UpdateCollection(hnsw_config=HnswConfigDiff(ef_construct=64))
    )
    info = await store.collection_info("c")
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (8, 64)


async def test_without_waiting_a_change_is_late_and_in_order(tmp_path: Path) -> None:
    """It is acknowledged, invisible, and applied before a later change that waits."""
    settings = EngineSettings(deferred=0.3)
    async with EdgeStore(tmp_path, processes=1, settings=settings) as store:
        await store.create_collection("c", plain())
        first = await store.apply("c", Upsert([point(1)]), wait=False)
        second = await store.apply("c", Delete(ByIds((1,))), wait=False)
        assert first.status is UpdateStatus.ACKNOWLEDGED
        assert (first.operation_id, second.operation_id) == (0, 1)
        await store.apply("c", Upsert([point(2)]), wait=False)
        assert await store.count("c", CountRequest()) == 0
        third = await store.apply("c", SetPayload(ByIds((2,)), {"a": 1}), wait=True)
        assert (third.operation_id, third.status) == (3, UpdateStatus.COMPLETED)
        (record,) = await store.retrieve("c", PointRequest(ids=[1, 2], with_payload=True))
        assert (record.id, record.payload) == (2, {"a": 1})
        await store.apply("c", Upsert([point(3)]), wait=False)
        await asyncio.sleep(0.6)
        assert await store.count("c", CountRequest()) == 2


async def test_nothing_answered_is_lost_when_everything_is_killed(tmp_path: Path) -> None:
    """Changes that completed or were acknowledged are there after SIGKILL, and numbers go on."""
    settings = EngineSettings(deferred=3600.0)
    async with EdgeStore(tmp_path, settings=settings) as store:
        for name in ("a", "b", "c"):
            await fill(store, name, [{"v": number} for number in range(50)])
            last = await store.apply(name, Delete(ByIds((1,))), wait=False)
            assert last.operation_id == 1
        for pid in store.pids:
            os.kill(pid, signal.SIGKILL)
        for name in ("a", "b", "c"):
            # The next call finds the process dead, or already finds its successor.
            while True:
                try:
                    found = await store.retrieve(
                        name, PointRequest(ids=[0, 1, 49], with_payload=True)
                    )
                except SourceUnavailable:
                    continue
                break
            assert [(record.id, record.payload) for record in found] == [
                (0, {"v": 0}),
                (49, {"v": 49}),
            ]
            again = await store.apply(name, Upsert([point(99)]), wait=True)
            assert again.operation_id == 2


async def test_a_second_store_over_the_same_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is locked as long as an engine process lives."""
    monkeypatch.setattr("service.stores.edge.store._LOCK_SECONDS", 0.2)
    async with EdgeStore(tmp_path, processes=1) as first:
        with pytest.raises(ConfigurationError, match="in use by another process"):
            await EdgeStore(tmp_path).__aenter__()
        assert await first.collections() == []
