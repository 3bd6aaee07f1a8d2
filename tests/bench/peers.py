"""The peer of the backfill: the server itself copies the same rows from a file into equal tables.

Nothing that speaks to Postgres from outside can be faster: there is no client, no network, no JSON
and no conversion, only the tables' own cost.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asyncpg

from tests.bench.rig import BenchFailed, Rig

_TABLES = """
SELECT format('%I.%I', t.schemaname, t.tablename)
FROM pg_catalog.pg_tables AS t, vecferry.collections AS c
WHERE c.name = $1
  AND t.schemaname = 'vecferry_data'
  AND (t.tablename = 'points_' || c.id OR t.tablename LIKE 'vectors\\_' || c.id || '\\_%')
ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class CopiedTables:
    """Copies a collection's tables by server-side binary COPY, as often as asked."""

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
        tables = [row[0] for row in await self.connection.fetch(_TABLES, self.collection)]
        if not tables:
            message = f"{self.collection} has no tables in the target"
            raise BenchFailed(message)
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
