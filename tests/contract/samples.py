"""Short ways to write points and requests."""

import numpy as np

from service.model.ids import PointId
from service.model.operations import ByFilter, ByIds, Upsert
from service.model.points import Payload, Point
from service.model.qdrant import (
    CreateCollection,
    Distance,
    FieldCondition,
    Filter,
    MatchValue,
    PointRequest,
)
from service.model.qdrant import VectorParams as Params
from service.ports import VectorStore

NAME = "things"
UUID_A = "00000000-0000-0000-0000-000000000001"
UUID_B = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


def point(point_id: PointId, vectors: dict[str, list[float]], **payload: object) -> Point:
    """A point from plain lists."""
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in vectors.items()}
    return Point(point_id, arrays, payload)


def one(size: int = 2, distance: Distance = Distance.DOT) -> CreateCollection:
    """A collection with one unnamed vector."""
    return CreateCollection(vectors=Params(size=size, distance=distance))


def two() -> CreateCollection:
    """A collection with the vectors ``text`` (2, cosine) and ``image`` (3, Euclid)."""
    return CreateCollection(
        vectors={
            "text": Params(size=2, distance=Distance.COSINE),
            "image": Params(size=3, distance=Distance.EUCLID),
        }
    )


def equals(key: str, value: str | int) -> Filter:
    """Points whose key has the value."""
    return Filter(must=[FieldCondition(key=key, match=MatchValue(value=value))])


def ids(*given: PointId) -> ByIds:
    """These points."""
    return ByIds(given)


def where(key: str, value: str | int) -> ByFilter:
    """The points whose key has the value."""
    return ByFilter(equals(key, value))


async def filled(store: VectorStore, request: CreateCollection, *points: Point) -> None:
    """Create the collection with these points."""
    await store.create_collection(NAME, request)
    await store.apply(NAME, Upsert(points), wait=True)


async def payload(store: VectorStore, point_id: PointId) -> Payload | None:
    """The payload of a point, ``None`` when there is none."""
    found = await store.retrieve(NAME, PointRequest(ids=[point_id], with_payload=True))
    return found[0].payload if found else None
