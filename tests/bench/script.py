"""The migration that people write first: ``python -m tests.bench.script QDRANT DSN COLLECTION POINTS VECTORS FILE``.

Everything is exported to one JSON file with Qdrant's own client, then inserted row by row, the vector as text, one
transaction per 100 points. ``POINTS`` and ``VECTORS`` are the empty tables that vecferry would fill. It stops nowhere,
goes on nowhere, and what is written meanwhile is lost. Prints the seconds of both steps as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import asyncpg
from qdrant_client import QdrantClient

from service.model.ids import encode_key

_PAGE = 1_000
_COMMIT_EVERY = 100


def _export(qdrant: str, collection: str, file: Path) -> None:
    client = QdrantClient(url=qdrant, check_compatibility=False)
    points, offset = [], None
    while True:
        found, offset = client.scroll(
            collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
        )
        points += [
            {"id": point.id, "payload": point.payload, "vector": point.vector} for point in found
        ]
        if offset is None:
            break
    with file.open("w") as output:
        json.dump(points, output)


async def _import(dsn: str, points_table: str, vectors_table: str, file: Path) -> None:
    with file.open() as source:
        points = json.load(source)
    into_points = f"INSERT INTO {points_table} (key, payload, version) VALUES ($1, $2::jsonb, 1)"
    into_vectors = f"INSERT INTO {vectors_table} (key, embedding) VALUES ($1, ($2::text)::vector)"
    connection = await asyncpg.connect(dsn)
    try:
        for first in range(0, len(points), _COMMIT_EVERY):
            async with connection.transaction():
                for point in points[first : first + _COMMIT_EVERY]:
                    key = encode_key(point["id"])
                    await connection.execute(into_points, key, json.dumps(point["payload"]))
                    await connection.execute(into_vectors, key, str(point["vector"]))
    finally:
        await connection.close()


def _main(qdrant: str, dsn: str, collection: str, points: str, vectors: str, file: str) -> None:
    began = time.perf_counter()
    _export(qdrant, collection, Path(file))
    exported = time.perf_counter()
    asyncio.run(_import(dsn, points, vectors, Path(file)))
    ended = time.perf_counter()
    sys.stdout.write(json.dumps({"export": exported - began, "import": ended - exported}))


if __name__ == "__main__":
    _main(*sys.argv[1:])
