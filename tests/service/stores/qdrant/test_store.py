"""``QdrantStore`` against a real Qdrant engine behind its REST API."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from service.errors import CollectionExists, CollectionNotFound, SourceUnavailable, StoreAnswered
from service.model.ids import PointId
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    Delete,
    DeletePayload,
    DeleteVectors,
    Operation,
    OverwritePayload,
    SetPayload,
    UpdateResult,
    UpdateVectors,
    Upsert,
)
from service.model.points import FloatArray, Point, Record, Vectors
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    Filter,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateStatus,
    VectorParams,
)
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore

UUID = "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"
RED = Filter.model_validate({"must": [{"key": "colour", "match": {"value": "red"}}]})
TWO_VECTORS = CreateCollection(
    vectors={
        "a": VectorParams(size=2, distance=Distance.DOT),
        "b": VectorParams(size=3, distance=Distance.EUCLID),
    }
)


def floats(*numbers: float) -> FloatArray:
    """Return a float32 vector."""
    return np.array(numbers, dtype=np.float32)


@pytest.fixture
async def store(qdrant_url: str) -> AsyncIterator[QdrantStore]:
    """A store on a real server."""
    async with QdrantHttp(qdrant_url) as http:
        yield QdrantStore(http)


@pytest.fixture
async def collection(store: QdrantStore, collection_name: str) -> str:
    """A collection with two named vectors and four points."""
    await store.create_collection(collection_name, TWO_VECTORS)
    points = [
        Point(i, {"a": floats(i, 0.1), "b": floats(0, 0, i)}, {"colour": "red", "n": {"z": i}})
        for i in (1, 2, 3)
    ]
    points.append(Point(UUID, {"a": floats(0.6, 0.8)}, {"colour": "blue"}))
    await store.apply(collection_name, Upsert(points), wait=True)
    return collection_name


def same(found: Vectors | None, expected: dict[str, FloatArray]) -> bool:
    """Say whether the vectors are bit-equal to these."""
    assert found is not None
    kept = {name: vector for name, vector in found.items() if isinstance(vector, np.ndarray)}
    return kept.keys() == found.keys() == expected.keys() and all(
        np.array_equal(kept[name], expected[name]) for name in kept
    )


async def fetch(store: QdrantStore, collection: str, *ids: PointId) -> dict[PointId, Record]:
    """Return whole points by id."""
    request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
    return {record.id: record for record in await store.retrieve(collection, request)}


async def test_collections_come_and_go(store: QdrantStore, collection_name: str) -> None:
    """Creation, listing, description and deletion answer as the port says."""
    assert await store.create_collection(collection_name, TWO_VECTORS)
    with pytest.raises(CollectionExists):
        await store.create_collection(collection_name, TWO_VECTORS)
    assert collection_name in await store.collections()
    assert await store.has_collection(collection_name)
    info = await store.collection_info(collection_name)
    assert info.points_count == 0
    assert isinstance(info.config.params.vectors, dict)
    assert await store.delete_collection(collection_name)
    assert not await store.has_collection(collection_name)
    assert not await store.delete_collection(collection_name)
    with pytest.raises(CollectionNotFound):
        await store.collection_info(collection_name)
    with pytest.raises(CollectionNotFound):
        await store.scroll(collection_name, ScrollRequest())


async def test_points_come_back_as_they_were_written(store: QdrantStore, collection: str) -> None:
    """Vectors are bit-equal float32, ids canonical, and only what exists is returned."""
    found = await fetch(store, collection, UUID, 2, 99)
    assert list(found) == [UUID, 2]
    assert same(found[2].vectors, {"a": floats(2, 0.1), "b": floats(0, 0, 2)})
    assert found[2].payload == {"colour": "red", "n": {"z": 2}}
    assert same(found[UUID].vectors, {"a": floats(0.6, 0.8)})


async def test_scroll_and_count(store: QdrantStore, collection: str) -> None:
    """Pages follow one another in id order, integers before UUIDs, and filters apply."""
    first = await store.scroll(collection, ScrollRequest(limit=3, with_payload=False))
    assert [record.id for record in first.records] == [1, 2, 3]
    assert [record.payload for record in first.records] == [None] * 3
    assert first.next_id == UUID
    last = await store.scroll(collection, ScrollRequest(offset=first.next_id, limit=3))
    assert [(r.id, r.payload, r.vectors) for r in last.records] == [
        (UUID, {"colour": "blue"}, None)
    ]
    assert last.next_id is None
    assert await store.count(collection, CountRequest(filter=RED)) == 3


async def test_query(store: QdrantStore, collection: str) -> None:
    """Hits come best first with the distance's own score."""
    request = QueryRequest(query=[1.0, 0.0], using="a", limit=2, filter=RED, with_payload=True)
    hits = await store.query(collection, request)
    assert [(hit.id, hit.score) for hit in hits] == [(3, 3.0), (2, 2.0)]
    assert hits[0].payload == {"colour": "red", "n": {"z": 3}}
    assert hits[0].vectors is None


IDS = ByIds((1, UUID))


@pytest.mark.parametrize(
    ("operation", "payloads"),
    [
        (SetPayload(IDS, {"x": 1, "colour": None}), [{"n": {"z": 1}, "x": 1}, {"x": 1}]),
        (
            SetPayload(ByIds((1,)), {"y": 2}, key="n"),
            [{"colour": "red", "n": {"z": 1, "y": 2}}, {"colour": "blue"}],
        ),
        (OverwritePayload(ByFilter(RED), {"x": 1}), [{"x": 1}, {"colour": "blue"}]),
        (DeletePayload(ByIds((1,)), ("n.z",)), [{"colour": "red", "n": {}}, {"colour": "blue"}]),
        (ClearPayload(IDS), [{}, {}]),
        (Delete(ByIds((1, 99))), [None, {"colour": "blue"}]),
        (Delete(ByFilter(RED)), [None, {"colour": "blue"}]),
        (
            Upsert([Point(1, {"a": floats(1, 1)}, {"new": True})]),
            [{"new": True}, {"colour": "blue"}],
        ),
    ],
)
async def test_operations_on_payloads_and_points(
    store: QdrantStore,
    collection: str,
    operation: Operation,
    payloads: list[dict[str, object] | None],
) -> None:
    """Every operation does to the points what Qdrant's own does."""
    result = await store.apply(collection, operation, wait=True)
    assert result.status is UpdateStatus.COMPLETED
    found = await fetch(store, collection, 1, UUID)
    assert [found[i].payload if i in found else None for i in (1, UUID)] == payloads


async def test_operations_on_vectors(store: QdrantStore, collection: str) -> None:
    """Vectors are replaced and removed by name; the others and the payload stay."""
    await store.apply(collection, UpdateVectors([(1, {"a": floats(9, 9)})]), wait=True)
    await store.apply(collection, DeleteVectors(ByIds((2,)), ("b",)), wait=True)
    found = await fetch(store, collection, 1, 2)
    assert same(found[1].vectors, {"a": floats(9, 9), "b": floats(0, 0, 1)})
    assert same(found[2].vectors, {"a": floats(2, 0.1)})
    assert found[1].payload == {"colour": "red", "n": {"z": 1}}


async def test_operation_numbers_grow(store: QdrantStore, collection: str) -> None:
    """Each operation has a greater number than the one before."""
    one = await store.apply(collection, ClearPayload(IDS), wait=True)
    two = await store.apply(collection, ClearPayload(IDS), wait=True)
    assert two.operation_id > one.operation_id


async def test_refused_operations_are_passed_on(store: QdrantStore, collection: str) -> None:
    """What Qdrant refuses comes with its own code and text."""
    with pytest.raises(StoreAnswered) as raised:
        await store.apply(collection, Upsert([Point(1, {"a": floats(1)}, {})]), wait=True)
    assert raised.value.code == 400
    assert b"expected dim: 2, got 1" in raised.value.body


async def test_a_barrier_waits_for_unwaited_writes(store: QdrantStore, collection: str) -> None:
    """After a barrier an acknowledged write is there, and nothing else has changed."""
    late = SetPayload(ByIds((1,)), {"late": True})
    acknowledged = await store.apply(collection, late, wait=False)
    assert acknowledged.status is UpdateStatus.ACKNOWLEDGED
    await store.barrier(collection, [1])
    found = await fetch(store, collection, 1)
    assert found[1].payload == {"colour": "red", "n": {"z": 1}, "late": True}


async def test_a_barrier_waits_for_a_point_that_is_not_there_yet(
    store: QdrantStore, collection: str
) -> None:
    """Ids that nobody has, or that are being written, are no error."""
    await store.apply(collection, Upsert([Point(77, {"a": floats(1, 1)}, {})]), wait=False)
    await store.barrier(collection, [77, 78])
    assert list(await fetch(store, collection, 77, 78)) == [77]
    await store.barrier(collection, [78])
    await store.barrier(collection, [])


async def test_a_barrier_that_did_not_complete_is_an_error(
    store: QdrantStore, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that timed out says nothing about the queue."""

    async def times_out(*call: object, **options: object) -> UpdateResult:
        return UpdateResult(1, UpdateStatus.WAIT_TIMEOUT)

    monkeypatch.setattr(store, "apply", times_out)
    with pytest.raises(SourceUnavailable):
        await store.barrier(collection, [1])


async def test_a_large_page_is_bit_equal(store: QdrantStore, collection_name: str) -> None:
    """A page as a backfill reads it, 1,000 points of 384 dimensions, loses nothing on the wire."""
    config = CreateCollection(vectors=VectorParams(size=384, distance=Distance.DOT))
    await store.create_collection(collection_name, config)
    vectors = np.random.default_rng(5).random((1000, 384), dtype=np.float32)
    points = [Point(i, {"": vector}, {"i": i}) for i, vector in enumerate(vectors)]
    await store.apply(collection_name, Upsert(points), wait=True)
    request = ScrollRequest(limit=1000, with_payload=True, with_vector=True)
    page = await store.scroll(collection_name, request)
    assert [record.id for record in page.records] == list(range(1000))
    assert all(same(r.vectors, {"": v}) for r, v in zip(page.records, vectors, strict=True))


async def test_all_replicas_can_be_asked_which_points_there_are(
    store: QdrantStore, collection_name: str
) -> None:
    """The answer names the ids that are there, canonical, without their content (R12)."""
    await store.create_collection(collection_name, TWO_VECTORS)
    await store.apply(collection_name, Upsert([Point(1, {}, {}), Point(UUID, {}, {})]), wait=True)
    assert await store.on_replicas(collection_name, [1, 2, UUID]) == {1, UUID}


async def test_a_page_of_large_points_is_short(qdrant_url: str, collection_name: str) -> None:
    """What is read at once is bounded in bytes, however many points were asked for; one point may have any size."""
    config = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
    small = [Point(number, {"": floats(1.0, 2.0)}, {}) for number in range(20)]
    large = [
        Point(number, {"": floats(1.0, 2.0)}, {"text": "x" * size})
        for number, size in enumerate([30_000] * 9 + [300_000, 30_000], start=20)
    ]
    async with QdrantHttp(qdrant_url) as http:
        store = QdrantStore(http, most_page_bytes=100_000)
        await store.create_collection(collection_name, config)
        await store.apply(collection_name, Upsert([*small, *large]), wait=True)
        sizes, seen, offset = [], list[PointId](), None
        while offset is not None or not seen:
            request = ScrollRequest(limit=16, offset=offset, with_payload=True, with_vector=True)
            page = await store.scroll(collection_name, request)
            sizes.append(len(page.records))
            seen += [record.id for record in page.records]
            offset = page.next_id
    assert seen == list(range(31))
    assert sizes == [16, 4, 2, 2, 2, 2, 1, 1, 1]
