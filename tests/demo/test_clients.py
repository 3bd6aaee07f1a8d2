"""Tests of the checking clients: silent with a true store, loud with every kind of lie."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client.models import Distance, VectorParams

from tests.demo.clients import Client, Material
from tests.demo.corpus import Chunk
from tests.demo.journal import Journal, Kind
from tests.demo.legacy import LegacyPoint, as_struct, collections, payload_of, point_id

DIMENSIONS = 8
POINTS_EACH = 20
STEPS = 250

pytestmark = pytest.mark.filterwarnings("ignore:Local mode")


def unit_vectors(count: int, seed: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Return random directions."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def some_chunk(number: int) -> Chunk:
    """Return a chunk of one of seven documents."""
    return Chunk(f"doc/{number % 7}", number, "someone", f"text {number}")


LEGACY = [
    LegacyPoint(name, point_id(name, number), payload_of(some_chunk(number)), vector)
    for at, name in enumerate(collections())
    for number, vector in enumerate(unit_vectors(POINTS_EACH, at))
]
MATERIAL = Material(
    [(some_chunk(100 + at), vector) for at, vector in enumerate(unit_vectors(30, 77))],
    unit_vectors(5, 78),
)


@pytest.fixture
async def qdrant() -> AsyncIterator[AsyncQdrantClient]:
    """Open the client library's own in-memory store, with the legacy points in it."""
    client = AsyncQdrantClient(":memory:")
    for name in collections():
        params = VectorParams(size=DIMENSIONS, distance=Distance.COSINE)
        await client.create_collection(name, vectors_config=params)
        await client.upsert(
            name, [as_struct(point) for point in LEGACY if point.collection == name]
        )
    yield client
    await client.close()


async def complaints_of(qdrant: AsyncQdrantClient) -> tuple[Journal, set[Kind]]:
    """Let one client work for a while and return what it complained of."""
    journal = Journal()
    journal.begin("test")
    client = Client(0, qdrant, journal, MATERIAL)
    for point in LEGACY:
        client.memory.hold(point.collection, point.id, point.payload, point.vector)
    for _ in range(STEPS):
        await client.step(may_write=True)
    return journal, {complaint.wrong.kind for complaint in journal.complaints}


async def test_a_true_store_gives_no_complaint(qdrant: AsyncQdrantClient) -> None:
    """Every request is counted and none is found wrong."""
    journal, _ = await complaints_of(qdrant)
    assert [str(complaint) for complaint in journal.complaints] == []
    assert journal.requests > STEPS


async def test_without_leave_to_write_nothing_changes(qdrant: AsyncQdrantClient) -> None:
    """Paused writers only read."""
    journal = Journal()
    journal.begin("test")
    client = Client(0, qdrant, journal, MATERIAL)
    for _ in range(60):
        await client.step(may_write=False)
    counts = [(await qdrant.count(name)).count for name in collections()]
    assert counts == [POINTS_EACH] * len(collections())
    assert journal.requests > 0


Method = Callable[..., Awaitable[Any]]


async def forget(real: Method, *arguments: Any, **options: Any) -> None:
    """Say a write is done and do nothing."""


async def fail(real: Method, *arguments: Any, **options: Any) -> None:
    """Drop the connection."""
    message = "connection lost"
    raise ConnectionError(message)


async def empty(real: Method, *arguments: Any, **options: Any) -> Any:
    """Search, and lose the hits."""
    answer = await real(*arguments, **options)
    answer.points.clear()
    return answer


async def one_more(real: Method, *arguments: Any, **options: Any) -> Any:
    """Count one point too many."""
    answer = await real(*arguments, **options)
    return answer.model_copy(update={"count": answer.count + 1})


async def turned(real: Method, *arguments: Any, **options: Any) -> Any:
    """Read the right points with wrong vectors."""
    answer = await real(*arguments, **options)
    return [record.model_copy(update={"vector": record.vector[::-1]}) for record in answer]


@pytest.mark.parametrize(
    ("method", "lie", "found"),
    [
        ("upsert", forget, {Kind.LOST}),
        ("delete", forget, {Kind.UNEXPECTED}),
        ("set_payload", forget, {Kind.STALE_PAYLOAD}),
        ("overwrite_payload", forget, {Kind.STALE_PAYLOAD}),
        ("delete_payload", forget, {Kind.STALE_PAYLOAD}),
        ("query_points", empty, {Kind.MALFORMED, Kind.NOT_FOUND}),
        ("count", one_more, {Kind.WRONG_COUNT}),
        ("retrieve", turned, {Kind.STALE_VECTOR}),
        ("upsert", fail, {Kind.EXCEPTION}),
        ("scroll", fail, {Kind.EXCEPTION}),
    ],
)
async def test_a_lying_store_is_found_out(
    qdrant: AsyncQdrantClient,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    lie: Method,
    found: set[Kind],
) -> None:
    """Each kind of lie leads to its kind of complaint."""
    real = getattr(qdrant, method)

    async def lying(*arguments: Any, **options: Any) -> Any:
        return await lie(real, *arguments, **options)

    monkeypatch.setattr(qdrant, method, lying)
    _, kinds = await complaints_of(qdrant)
    assert kinds >= found
