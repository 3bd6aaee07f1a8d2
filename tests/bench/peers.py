"""The peers on Postgres: the server copying rows by itself, and plain upserts into a plain table."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg
import orjson
from pgvector import Vector
from pgvector.asyncpg import register_vector

from tests.bench.data import DIMENSIONS
from tests.bench.rig import BenchFailed, Rig

_TABLES = """
SELECT format('%I.%I', t.schemaname, t.tablename)
FROM pg_catalog.pg_tables AS t, vecferry.collections AS c
WHERE c.name = $1
  AND t.schemaname = 'vecferry_data'
  AND (t.tablename = 'points_' || c.id OR t.tablename LIKE 'vectors\\_' || c.id || '\\_%')
ORDER BY 1
"""


async def tables_of(connection: Any, collection: str) -> list[str]:
    """Return the names of a collection's tables, that of the points first."""
    tables = [row[0] for row in await connection.fetch(_TABLES, collection)]
    if not tables:
        message = f"{collection} has no tables in the target"
        raise BenchFailed(message)
    return tables


@dataclass(frozen=True, slots=True)
class CopiedTables:
    """Copies a collection's tables by server-side binary COPY, as often as asked.

    Nothing that speaks to Postgres from outside can be faster: there is no client, no network, no JSON
    and no conversion, only the tables' own cost.
    """

    connection: Any
    collection: str
    points: int
    folder: Path

    @classmethod
    @asynccontextmanager
    async def open(cls, rig: Rig, collection: str, points: int) -> AsyncIterator[Self]:
        """Connect to the target; every table is expected to hold ``points`` rows."""
        folder = rig.directory / "copy"
        folder.mkdir()
        # The server writes and reads the files, perhaps as another user than we are.
        folder.chmod(0o777)
        connection = await asyncpg.connect(rig.dsn)
        try:
            yield cls(connection, collection, points, folder)
        finally:
            await connection.close()

    async def rows_per_second(self) -> float:
        """Copy every table of the collection from a file of its rows, one transaction per table."""
        tables = await tables_of(self.connection, self.collection)
        seconds = 0.0
        for at, table in enumerate(tables):
            seconds += await self._copy(table, self.folder / f"{at}.bin", self.points)
        return self.points / seconds

    async def _copy(self, table: str, file: Path, rows: int) -> float:
        # The file is written anew each round: a later stage may have numbered the tables anew.
        file.unlink(missing_ok=True)
        await self.connection.execute(f"COPY {table} TO '{file}' (FORMAT binary)")
        await self.connection.execute(f"CREATE TABLE public.bench (LIKE {table} INCLUDING ALL)")
        try:
            began = time.perf_counter()
            done = await self.connection.execute(f"COPY public.bench FROM '{file}' (FORMAT binary)")
            seconds = time.perf_counter() - began
        finally:
            await self.connection.execute("DROP TABLE public.bench")
        if done != f"COPY {rows}":
            message = f"{table} does not hold the {rows} points that were backfilled: {done}"
            raise BenchFailed(message)
        return seconds


_UPSERT = """
INSERT INTO public.bench_plain (id, payload, embedding)
SELECT * FROM unnest($1::bigint[], $2::jsonb[], $3::vector[])
ON CONFLICT (id) DO UPDATE SET payload = excluded.payload, embedding = excluded.embedding
"""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """What an application without Qdrant would have: one table, one upsert a batch, a pool of connections."""

    pool: Any

    @classmethod
    @asynccontextmanager
    async def open(cls, rig: Rig, connections: int) -> AsyncIterator[Self]:
        """Make the table and drop it at the end."""
        async with asyncpg.create_pool(
            rig.dsn, min_size=connections, max_size=connections, init=register_vector
        ) as pool:
            await pool.execute(
                "CREATE TABLE public.bench_plain"
                f" (id bigint PRIMARY KEY, payload jsonb NOT NULL, embedding vector({DIMENSIONS}))"
            )
            try:
                yield cls(pool)
            finally:
                await pool.execute("DROP TABLE public.bench_plain")

    async def upsert(self, batch: list[dict[str, Any]]) -> None:
        """Insert or replace the points in one statement."""
        await self.pool.execute(
            _UPSERT,
            [point["id"] for point in batch],
            [orjson.dumps(point["payload"]).decode() for point in batch],
            [Vector(point["vector"]) for point in batch],
        )
