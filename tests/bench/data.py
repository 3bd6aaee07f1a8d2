"""Points for the benchmark: seeded unit vectors and payloads as long as a transcription chunk."""

from typing import Any

import numpy as np
import orjson

DIMENSIONS = 384
_WORDS = (
    "ferry",
    "harbour",
    "ledger",
    "vector",
    "index",
    "stage",
    "mirror",
    "query",
    "tide",
    "rope",
)


def unit_vectors(count: int, *, seed: int) -> list[list[float]]:
    """Return ``count`` vectors of length one."""
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSIONS)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [[float(value) for value in row] for row in rows]


def points(first_id: int, vectors: list[list[float]]) -> list[dict[str, Any]]:
    """Return points with consecutive ids and about 300 bytes of payload each."""
    return [
        {"id": point_id, "vector": vector, "payload": _payload(point_id)}
        for point_id, vector in enumerate(vectors, start=first_id)
    ]


def upsert_body(batch: list[dict[str, Any]]) -> bytes:
    """Return the body of an upsert of the points."""
    return orjson.dumps({"points": batch})


def query_body(vector: list[float], *, limit: int) -> bytes:
    """Return the body of a nearest-neighbour query."""
    return orjson.dumps({"query": vector, "limit": limit, "with_payload": True})


def _payload(point_id: int) -> dict[str, Any]:
    words = [_WORDS[(point_id * (3 + at) + at) % len(_WORDS)] for at in range(34)]
    return {
        "text": " ".join(words),
        "chunk_index": point_id % 40,
        "language": ("en", "de", "fr")[point_id % 3],
        "transcription_id": f"t-{point_id // 40:06d}",
    }
