"""The system that vecferry finds: users' transcriptions in Qdrant, written by a plain client."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from qdrant_client import QdrantClient
from qdrant_client.models import Distance, PointStruct, VectorParams

from service.model.ids import PointId
from service.model.points import FloatArray, Payload
from tests.demo.corpus import Chunk
from tests.demo.embed import DIMENSIONS

USERS = ("ada", "grace", "linus", "margaret", "tim")
PATTERN = "user_*_transcriptions"
_UPSERT_POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class LegacyPoint:
    """A point as the legacy system wrote it; ``vector`` has unit length and shape ``(384,)``."""

    collection: str
    id: PointId
    payload: Payload
    vector: FloatArray


def collection_of(user: str) -> str:
    """Return the name of a user's collection."""
    return f"user_{user}_transcriptions"


def collections() -> tuple[str, ...]:
    """Return the names of all collections, sorted."""
    return tuple(sorted(collection_of(user) for user in USERS))


def legacy_points(chunks: Sequence[Chunk], vectors: Mapping[str, FloatArray]) -> list[LegacyPoint]:
    """Deal the chunks to the users, forty neighbours at a time."""
    points = []
    for number, chunk in enumerate(chunks):
        user = USERS[number // 40 % len(USERS)]
        collection = collection_of(user)
        points.append(
            LegacyPoint(
                collection, point_id(collection, number), payload_of(chunk), vectors[chunk.text]
            )
        )
    return points


def point_id(collection: str, number: int) -> PointId:
    """Return the id of a collection's nth point; every other collection has UUIDs."""
    if collections().index(collection) % 2:
        return str(uuid5(NAMESPACE_URL, f"{collection}/{number}"))
    return number


def payload_of(chunk: Chunk) -> Payload:
    """Return what the transcription app stores beside a vector."""
    return {
        "text": chunk.text,
        "transcription_id": chunk.source,
        "chunk_index": chunk.index,
        "speaker": chunk.speaker,
        "language": "en",
        "source": chunk.source.partition("/")[0],
        "words": len(chunk.text.split()),
    }


def write(url: str, points: Sequence[LegacyPoint], progress: Callable[[int], None]) -> None:
    """Create the collections at a Qdrant and write the points into them."""
    client = QdrantClient(url=url, timeout=60)
    try:
        for collection in collections():
            client.create_collection(
                collection, vectors_config=VectorParams(size=DIMENSIONS, distance=Distance.COSINE)
            )
            mine = [point for point in points if point.collection == collection]
            for start in range(0, len(mine), _UPSERT_POINTS):
                page = mine[start : start + _UPSERT_POINTS]
                client.upsert(collection, [as_struct(point) for point in page], wait=True)
                progress(len(page))
    finally:
        client.close()


def as_struct(point: LegacyPoint) -> PointStruct:
    """Return the point as the client library writes it."""
    return PointStruct(id=point.id, vector=point.vector.tolist(), payload=point.payload)
