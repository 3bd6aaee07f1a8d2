"""A store whose searches are sampled."""

from random import Random

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.errors import CollectionNotFound
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    QueryRequest,
    ScrollRequest,
    VectorParams,
)
from service.stages import Side
from shadow.metrics import ShadowMetrics
from shadow.reads import ShadowReads
from shadow.sampling import Sampler
from shadow.store import ShadowStore
from tests.fakes import MemoryStore
from tests.shadow.fakes import answering
from tests.shadow.test_reads import running

QUERY = QueryRequest(query=[1.0, 0.0], limit=2, with_payload=True)


async def filled() -> MemoryStore:
    """Return a store with two points in ``c``."""
    store = MemoryStore()
    config = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
    await store.create_collection("c", config)
    points = [Point(i, {"": np.array([i, 0], np.float32)}, {"n": i}) for i in (1, 2)]
    await store.apply("c", Upsert(points), wait=True)
    return store


def reads_of(candidate: MemoryStore, rate: float = 1.0) -> ShadowReads:
    """Return shadow reads against a source."""
    sampler = Sampler(rate, Random(1))
    return ShadowReads({Side.SOURCE: candidate}, sampler, ShadowMetrics(CollectorRegistry()))


async def test_a_search_is_answered_and_compared() -> None:
    """The client gets the control's whole answer; the other store is asked afterwards."""
    reads = reads_of(await filled())
    watched = []

    def watch(collection: str) -> "type[bool]":
        watched.append(collection)
        return bool

    store = ShadowStore(await filled(), Side.TARGET, reads, watch=watch, is_on=lambda _: True)
    async with running(reads):
        hits = await store.query("c", QUERY)
        assert reads.parity("c").samples == 0
    assert [(hit.id, hit.payload) for hit in hits] == [(2, {"n": 2}), (1, {"n": 1})]
    assert (reads.parity("c").samples, reads.parity("c").overlap) == (1, 1.0)
    assert watched == ["c"]


@pytest.mark.parametrize(("rate", "is_on"), [(0.0, True), (1.0, False)])
async def test_what_is_not_sampled_is_not_offered(rate: float, is_on: bool) -> None:
    """Outside the sample, and in stages that compare nothing, the other store is left alone."""
    candidate = answering()
    sampler = Sampler(rate, Random(1))
    reads = ShadowReads({Side.SOURCE: candidate}, sampler, ShadowMetrics(CollectorRegistry()))
    store = ShadowStore(
        await filled(), Side.TARGET, reads, watch=lambda _: bool, is_on=lambda _: is_on
    )
    async with running(reads):
        assert len(await store.query("c", QUERY)) == 2
    assert candidate.asked == []


async def test_an_error_of_the_control_is_the_clients() -> None:
    """What the control refuses is raised, and there is nothing to compare."""
    reads = reads_of(await filled())
    store = ShadowStore(
        MemoryStore(), Side.TARGET, reads, watch=lambda _: bool, is_on=lambda _: True
    )
    with pytest.raises(CollectionNotFound):
        await store.query("c", QUERY)
    assert reads._queue.empty()


async def test_everything_else_goes_to_the_control() -> None:
    """Collections, reads and writes are the control's own."""
    control = MemoryStore()
    store = ShadowStore(
        control, Side.TARGET, reads_of(MemoryStore()), watch=lambda _: bool, is_on=lambda _: True
    )
    config = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
    await store.create_collection("c", config)
    vector = np.array([1, 0], np.float32)
    await store.apply("c", Upsert([Point(7, {"": vector}, {})]), wait=True)
    assert await control.count("c", CountRequest()) == await store.count("c", CountRequest()) == 1
    assert [record.id for record in (await store.scroll("c", ScrollRequest())).records] == [7]
    assert await store.collections() == ["c"]
    assert (await store.collection_info("c")).points_count == 1
    assert await store.delete_collection("c")
    assert not await control.has_collection("c")
