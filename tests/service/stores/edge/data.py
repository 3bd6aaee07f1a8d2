"""Small collections for the engine's tests."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from service.model.operations import Upsert
from service.model.points import UNNAMED, Payload, Point
from service.model.qdrant import (
    CollectionStatus,
    CountRequest,
    CreateCollection,
    Distance,
    FieldCondition,
    Filter,
    Match,
    QueryRequest,
    ScrollRequest,
    VectorParams,
)
from service.stores.edge.store import EdgeStore


def plain(size: int = 4, distance: Distance = Distance.DOT, **options: Any) -> CreateCollection:
    """Return a collection with one unnamed vector."""
    return CreateCollection(vectors=VectorParams(size=size, distance=distance), **options)


def point(number: int, payload: Payload | None = None, size: int = 4) -> Point:
    """Return a point whose only non-zero coordinate is its number, plus one."""
    vector = np.zeros(size, np.float32)
    vector[0] = number + 1
    return Point(number, {UNNAMED: vector}, payload or {})


def where(key: str, match: Match) -> Filter:
    """Return a filter of one match."""
    return Filter(must=[FieldCondition(key=key, match=match)])


async def fill(store: EdgeStore, name: str, payloads: Sequence[Payload]) -> None:
    """Create a collection whose points are numbered from 0."""
    await store.create_collection(name, plain())
    points = [point(number, payload) for number, payload in enumerate(payloads)]
    await store.apply(name, Upsert(points), wait=True)


async def matching(store: EdgeStore, name: str, wanted: Filter) -> list[Any]:
    """Return the ids that match, and check that counting and searching agree."""
    page = await store.scroll(name, ScrollRequest(filter=wanted, limit=1000))
    ids = [record.id for record in page.records]
    assert await store.count(name, CountRequest(filter=wanted)) == len(ids)
    hits = await store.query(
        name, QueryRequest(query=[1.0, 0.0, 0.0, 0.0], filter=wanted, limit=1000)
    )
    assert {hit.id for hit in hits} == set(ids)
    return ids


async def indexed(store: EdgeStore, name: str, *, more_than: int = 0) -> int:
    """Wait until the collection is green and return its number of indexed vectors."""
    async with asyncio.timeout(60):
        while True:
            info = await store.collection_info(name)
            count = info.indexed_vectors_count or 0
            if count > more_than and info.status is CollectionStatus.GREEN:
                return count
            await asyncio.sleep(0.05)
