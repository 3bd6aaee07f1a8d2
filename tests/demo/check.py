"""The independent check: reads every point of both stores directly and compares them.

Nothing here is shared with vecferry's own backfill or verification: plain ``qdrant_client`` on one
side, plain SQL over the tables on the other, keys decoded by hand. What agrees here agrees without
trusting the code that made it so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias
from uuid import UUID

import asyncpg
import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient

VECTOR_TOLERANCE = 1e-6
_PAGE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A point as a store holds it; ``payload`` is canonical JSON, ``vector`` float32 or none."""

    payload: str
    vector: NDArray[np.float32] | None


Id: TypeAlias = int | str
Contents: TypeAlias = dict[Id, Stored]


class Differs(StrEnum):
    """In what a point differs."""

    MISSING = "missing"
    EXTRA = "extra"
    PAYLOAD = "payload"
    VECTOR = "vector"


@dataclass(frozen=True, slots=True)
class Difference:
    """One point that is not the same on both sides."""

    id: Id
    differs: Differs
    detail: str = ""

    def __str__(self) -> str:
        """Return one line for the report."""
        return f"point {self.id}: {self.differs} {self.detail}".rstrip()


def differences(expected: Mapping[Id, Stored], actual: Mapping[Id, Stored]) -> list[Difference]:
    """Return every way in which ``actual`` is not ``expected``, by id."""
    found = [Difference(i, Differs.MISSING) for i in expected.keys() - actual.keys()]
    found += [Difference(i, Differs.EXTRA) for i in actual.keys() - expected.keys()]
    for point_id in expected.keys() & actual.keys():
        one, other = expected[point_id], actual[point_id]
        if one.payload != other.payload:
            detail = f"{one.payload[:120]} … {other.payload[:120]}"
            found.append(Difference(point_id, Differs.PAYLOAD, detail))
        if not _same_vector(one.vector, other.vector):
            found.append(Difference(point_id, Differs.VECTOR))
    return sorted(found, key=lambda difference: (str(difference.id), difference.differs))


def _same_vector(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.all(np.abs(one - other) <= VECTOR_TOLERANCE))


def canonical(payload: object) -> str:
    """Return JSON text that is equal exactly when the payloads are; ``1`` and ``true`` differ."""
    return json.dumps(payload or {}, sort_keys=True, ensure_ascii=False)


def id_of_key(key: bytes) -> Id:
    """Decode a key: 0 and a big-endian integer, or 1 and a UUID; else raises ``ValueError``."""
    kind, value = key[0], key[1:]
    if len(value) == len(UUID(int=0).bytes):
        if kind == 0:
            return int.from_bytes(value, "big")
        if kind == 1:
            return str(UUID(bytes=value))
    message = f"not a key: {key.hex()}"
    raise ValueError(message)


async def read_qdrant(url: str, collection: str) -> Contents:
    """Return every point of a collection, from Qdrant itself."""
    client = AsyncQdrantClient(url=url, timeout=60, check_compatibility=False)
    contents: Contents = {}
    try:
        offset = None
        while True:
            records, offset = await client.scroll(
                collection, limit=_PAGE, offset=offset, with_payload=True, with_vectors=True
            )
            for record in records:
                vector = np.asarray(record.vector, dtype=np.float32) if record.vector else None
                point_id = record.id if isinstance(record.id, int) else str(record.id)
                contents[point_id] = Stored(canonical(record.payload), vector)
            if offset is None:
                return contents
    finally:
        await client.close()


async def read_postgres(dsn: str, collection: str) -> Contents:
    """Return every point of a collection, from Postgres itself; ``LookupError`` without tables."""
    connection = await asyncpg.connect(dsn)
    try:
        number = await connection.fetchval(
            "SELECT id FROM vecferry.collections WHERE name = $1", collection
        )
        vectors = await connection.fetch(
            "SELECT table_name FROM information_schema.tables "
            "WHERE table_schema = 'vecferry_data' AND table_name LIKE $1",
            f"vectors\\_{number}\\_%",
        )
        if len(vectors) != 1:
            message = f"{collection}: {len(vectors)} vector tables in Postgres, one expected"
            raise LookupError(message)
        rows = await connection.fetch(
            f"SELECT p.key, p.payload::text AS payload, v.embedding::real[] AS vector "
            f"FROM vecferry_data.points_{int(number)} p "
            f'LEFT JOIN vecferry_data."{vectors[0]["table_name"]}" v USING (key) '
            f"WHERE NOT p.deleted"
        )
    finally:
        await connection.close()
    return {
        id_of_key(row["key"]): Stored(
            canonical(json.loads(row["payload"] or "null")),
            None if row["vector"] is None else np.asarray(row["vector"], dtype=np.float32),
        )
        for row in rows
    }
