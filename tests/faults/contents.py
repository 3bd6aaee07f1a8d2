"""What the two stores hold: read directly, with nothing of vecferry's between."""

import asyncio
import json
from collections.abc import Mapping

import aiohttp
import asyncpg

from service.model.ids import PointId, decode_key
from tests.faults.states import Held, held

_PAGE = 500

Contents = Mapping[PointId, Held]


async def read_qdrant(url: str, collection: str) -> Contents:
    """Return every point of a collection in Qdrant; nothing when there is no such collection."""
    found: dict[PointId, Held] = {}
    offset = None
    async with aiohttp.ClientSession() as http:
        while True:
            body = {"limit": _PAGE, "offset": offset, "with_payload": True, "with_vector": True}
            address = f"{url}/collections/{collection}/points/scroll"
            async with http.post(address, json=body) as answer:
                if answer.status == 404:
                    return {}
                answer.raise_for_status()
                result = (await answer.json())["result"]
            for point in result["points"]:
                found[point["id"]] = held(point["payload"], point["vector"])
            offset = result["next_page_offset"]
            if offset is None:
                return found


async def read_postgres(dsn: str, collection: str) -> Contents:
    """Return every point of a collection in Postgres; nothing when it has no tables."""
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            "SELECT id, vectors FROM vecferry.collections WHERE name = $1", collection
        )
        if row is None:
            return {}
        points = await connection.fetch(
            f"SELECT key, payload::text AS payload FROM vecferry_data.points_{row['id']}"
            " WHERE NOT deleted"
        )
        vectors: dict[bytes, dict[str, list[float]]] = {}
        for number, name in enumerate(row["vectors"]):
            rows = await connection.fetch(
                f"SELECT key, embedding::real[] AS v FROM vecferry_data.vectors_{row['id']}_{number}"
            )
            for vector in rows:
                vectors.setdefault(vector["key"], {})[name] = vector["v"]
    finally:
        await connection.close()
    return {
        decode_key(point["key"]): held(
            json.loads(point["payload"] or "{}"), vectors.get(point["key"], {})
        )
        for point in points
    }


def differences(source: Contents, target: Contents) -> list[str]:
    """Return one line per point that is not the same on both sides."""
    return [
        f"{point_id}: Qdrant has {source.get(point_id)}, Postgres has {target.get(point_id)}"
        for point_id in sorted(source.keys() | target.keys(), key=str)
        if source.get(point_id) != target.get(point_id)
    ]


async def both(url: str, dsn: str, collection: str) -> tuple[Contents, Contents]:
    """Return the source's and the target's points."""
    async with asyncio.TaskGroup() as tasks:
        source = tasks.create_task(read_qdrant(url, collection))
        target = tasks.create_task(read_postgres(dsn, collection))
    return source.result(), target.result()
