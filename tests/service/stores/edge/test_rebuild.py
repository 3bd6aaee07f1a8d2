"""Indexing in the background: nothing waits for it and nothing is lost by it."""

import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from service.model.operations import ByIds, Delete, SetPayload, Upsert
from service.model.points import UNNAMED, Point
from service.model.qdrant import (
    CollectionStatus,
    CountRequest,
    CreateCollection,
    Distance,
    HnswConfigDiff,
    OptimizersConfigDiff,
    PointRequest,
    QueryRequest,
    SearchParams,
    UpdateCollection,
    VectorParams,
)
from service.stores.edge.settings import EngineSettings
from service.stores.edge.store import EdgeStore
from tests.service.stores.edge.conftest import SETTINGS
from tests.service.stores.edge.data import fill, indexed

pytestmark = pytest.mark.asyncio(loop_scope="session")

POINTS, SIZE = 3000, 64
VECTORS = np.random.default_rng(7).standard_normal((POINTS, SIZE)).astype(np.float32)


def hnsw(threshold: int, ef_construct: int = 64) -> CreateCollection:
    """Return a collection that indexes from so many KiB of vectors on."""
    return CreateCollection(
        vectors=VectorParams(size=SIZE, distance=Distance.COSINE),
        hnsw_config=HnswConfigDiff(m=16, ef_construct=ef_construct, full_scan_threshold=10),
        optimizers_config=OptimizersConfigDiff(indexing_threshold=threshold),
    )


async def load(store: EdgeStore, name: str) -> None:
    """Write all vectors."""
    for start in range(0, POINTS, 500):
        points = [
            Point(number, {UNNAMED: VECTORS[number]}, {})
            for number in range(start, min(start + 500, POINTS))
        ]
        await store.apply(name, Upsert(points), wait=True)


async def best(store: EdgeStore, name: str, vector: int, *, exact: bool = False) -> list[object]:
    """Return the ids nearest to one of the vectors."""
    request = QueryRequest(
        query=VECTORS[vector].tolist(), limit=10, params=SearchParams(exact=exact, hnsw_ef=128)
    )
    return [hit.id for hit in await store.query(name, request)]


async def test_enough_vectors_are_indexed(store: EdgeStore) -> None:
    """HNSW is built by itself, and its answers are those of the exact search, nearly all."""
    await store.create_collection("c", hnsw(threshold=100))
    await load(store, "c")
    assert await indexed(store, "c") >= POINTS - 500
    agreeing = 0
    for number in range(0, POINTS, 300):
        exact = await best(store, "c", number, exact=True)
        approximate = await best(store, "c", number)
        assert approximate[0] == exact[0] == number
        agreeing += len(set(exact) & set(approximate))
    assert agreeing >= 0.9 * 10 * 10


async def test_few_vectors_or_a_threshold_of_zero_are_left_alone(store: EdgeStore) -> None:
    """Below its threshold a collection stays green and unindexed, and 0 means never."""
    for name, threshold in (("few", 10_000), ("never", 0)):
        await store.create_collection(name, hnsw(threshold))
        await load(store, name)
    await asyncio.sleep(4 * SETTINGS.idle)
    for name in ("few", "never"):
        info = await store.collection_info(name)
        assert (info.status, info.indexed_vectors_count) == (CollectionStatus.GREEN, 0)


async def test_nothing_waits_for_an_index(store: EdgeStore) -> None:
    """While one collection is indexed, it and another one of the same process go on being served."""
    await store.create_collection("busy", hnsw(threshold=100, ef_construct=800))
    await fill(store, "other", [{} for _ in range(10)])
    await load(store, "busy")
    slowest, answered = 0.0, 0
    async with asyncio.timeout(60):
        while True:
            info = await store.collection_info("busy")
            if info.indexed_vectors_count:
                break
            for name, vector in (("other", [1.0, 0.0, 0.0, 0.0]), ("busy", VECTORS[0].tolist())):
                began = time.monotonic()
                assert await store.query(name, QueryRequest(query=vector))
                slowest = max(slowest, time.monotonic() - began)
                answered += info.status is CollectionStatus.YELLOW
            await asyncio.sleep(0.005)
    assert answered > 20
    # Building this graph takes the engine seconds; copying and swapping the shard does not.
    assert slowest < 1.0


async def test_changes_during_an_index_build_are_in_the_index(store: EdgeStore) -> None:
    """What is written, changed and deleted meanwhile is there afterwards."""
    await store.create_collection("c", hnsw(threshold=100, ef_construct=400))
    await load(store, "c")
    await asyncio.sleep(4 * SETTINGS.idle)
    info = await store.collection_info("c")
    assert (info.status, info.indexed_vectors_count) == (CollectionStatus.YELLOW, 0)
    await store.apply("c", Delete(ByIds((5,))), wait=True)
    await store.apply("c", SetPayload(ByIds((6,)), {"late": True}), wait=True)
    new = Point(POINTS, {UNNAMED: VECTORS[5]}, {})
    await store.apply("c", Upsert([new]), wait=False)
    await indexed(store, "c")
    assert await store.count("c", CountRequest()) == POINTS
    assert (await best(store, "c", 5))[0] == POINTS
    (record,) = await store.retrieve("c", PointRequest(ids=[5, 6], with_payload=True))
    assert (record.id, record.payload) == (6, {"late": True})


async def test_other_parameters_index_anew(store: EdgeStore) -> None:
    """PATCH lowers the threshold of a collection that was left alone, and the index appears."""
    await store.create_collection("c", hnsw(threshold=0))
    await load(store, "c")
    change = UpdateCollection(optimizers_config=OptimizersConfigDiff(indexing_threshold=100))
    await store.update_collection("c", change)
    assert await indexed(store, "c") > 0


async def test_writes_wait_when_too_much_changes_under_a_build(tmp_path: Path) -> None:
    """Past the backlog's bound writes are held until the index is there; then all are answered."""
    settings = EngineSettings(idle=0.1, backlog_points=10, held_writes=2)
    async with EdgeStore(tmp_path, processes=1, settings=settings) as store:
        await store.create_collection("c", hnsw(threshold=100, ef_construct=400))
        await load(store, "c")
        await asyncio.sleep(0.5)

        async def touch(number: int) -> str:
            try:
                await store.apply("c", SetPayload(ByIds((number,)), {"v": 1}), wait=True)
            except Exception as error:  # noqa: BLE001 - its name is what the test looks at
                return type(error).__name__
            return "done"

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            tasks = [group.create_task(touch(number)) for number in range(15)]
            await asyncio.sleep(0.2)
            assert await store.count("c", CountRequest()) == POINTS
        outcomes = [task.result() for task in tasks]
        assert outcomes.count("done") == 12
        assert outcomes.count("Overloaded") == 3
        assert await indexed(store, "c") > 0


async def test_a_kill_during_a_build_costs_nothing_but_the_build(tmp_path: Path) -> None:
    """The half-built copy is thrown away, the shard is as it was, and the index is built again."""
    async with EdgeStore(tmp_path, processes=1, settings=SETTINGS) as store:
        await store.create_collection("c", hnsw(threshold=100, ef_construct=800))
        await load(store, "c")
        await asyncio.sleep(4 * SETTINGS.idle)
        assert (tmp_path / "collections" / "c" / "shard-1").exists()
        await store.apply("c", Delete(ByIds((1,))), wait=True)
        os.kill(store.pids[0], signal.SIGKILL)
        await asyncio.sleep(0.2)
        assert await store.count("c", CountRequest()) == POINTS - 1
        assert await indexed(store, "c") > 0
        assert await store.count("c", CountRequest()) == POINTS - 1
