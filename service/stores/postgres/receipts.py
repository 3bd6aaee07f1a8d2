"""Receipts in ``vecferry.receipts``, the suspects behind them, and the circumstances that they name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any
from uuid import UUID

from backfill.jobs import Job
from backfill.queue import Suspect
from backfill.receipts import Document, Receipts
from backfill.surroundings import LookAround, Surroundings
from backfill.verify import SuspectRoom
from service.errors import StageError, VecferryError
from service.model.moments import as_text
from service.stages import Stage, authority
from service.stores.postgres import job_rows
from service.stores.postgres.database import Database

_STORE = """
    INSERT INTO vecferry.receipts (id, collection, generation, clean, document)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (id) DO UPDATE SET
        clean = excluded.clean, document = excluded.document, created_at = excluded.created_at
"""

_LATEST = """
    SELECT document FROM vecferry.receipts WHERE collection = $1 ORDER BY created_at DESC LIMIT 1
"""

_LISTED = """
    SELECT id, collection, generation, clean, created_at FROM vecferry.receipts
    WHERE $1::text IS NULL OR collection = $1
    ORDER BY created_at DESC LIMIT $2
"""

_DIFFERENCES = """
    SELECT key, kinds, confirmed FROM vecferry.job_suspects
    WHERE job = $1 AND confirmed AND key > $2
    ORDER BY key LIMIT $3
"""

_KEPT = """
    SELECT count(*) FROM (SELECT FROM vecferry.job_suspects WHERE job = $1 LIMIT $2) AS kept
"""

_AROUND = """
    SELECT k.stage, k.epoch, current_setting('server_version') AS postgres,
        (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector') AS pgvector
    FROM vecferry.control AS k WHERE k.generation = $1
"""


class PostgresReceipts:
    """``Receipts`` and ``SuspectRoom`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, job: Job, document: Document) -> None:
        """Keep the receipt of a job that is being finished. Raises ``StaleEpoch``."""
        async with self._database.transaction() as connection:
            await job_rows.hold(connection, job)
            await connection.execute(
                _STORE,
                job.id,
                document["collection"],
                document["generation"],
                document["clean"],
                dict(document),
            )

    async def latest(self, collection: str) -> Document | None:
        """Return the newest one of a collection name."""
        async with self._database.connection() as connection:
            found: Document | None = await connection.fetchval(_LATEST, collection)
            return found

    async def get(self, receipt: UUID) -> Document | None:
        """Return one by its id."""
        async with self._database.connection() as connection:
            found: Document | None = await connection.fetchval(
                "SELECT document FROM vecferry.receipts WHERE id = $1", receipt
            )
            return found

    async def listed(self, collection: str | None, limit: int) -> Sequence[Mapping[str, object]]:
        """Return the newest ones."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LISTED, collection, limit)
        return [_line(row) for row in rows]

    async def differences(
        self, receipt: UUID, *, after: bytes | None, limit: int
    ) -> Sequence[Suspect] | None:
        """Return confirmed differences in the order of their keys; ``None`` once the job is gone."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_DIFFERENCES, receipt, after or b"", limit)
            # Asked afterwards: a page of a job that is there now is whole.
            if not await job_rows.exists(connection, receipt):
                return None
        return [Suspect(row["key"], tuple(row["kinds"]), row["confirmed"]) for row in rows]

    async def kept(self, job: UUID, *, most: int) -> int:
        """Return how many suspects a job has."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(_KEPT, job, most)
            return count


class PostgresSurroundings:
    """``LookAround`` on the target's database; ``qdrant`` returns the source's version."""

    def __init__(self, database: Database, qdrant: Callable[[], Awaitable[str]]) -> None:
        self._database = database
        self._qdrant = qdrant

    async def __call__(self, generation: int) -> Surroundings:
        """Return the stage and the versions."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_AROUND, generation)
        if row is None:
            message = "the collection was dropped, or its mirror was begun anew"
            raise StageError(message)
        versions = {
            "vecferry": version("vecferry"),
            "qdrant": await self._source_version(),
            "postgres": row["postgres"],
            "pgvector": row["pgvector"] or "",
        }
        stage = Stage(row["stage"])
        return Surroundings(str(stage), row["epoch"], str(authority(stage)), versions)

    async def _source_version(self) -> str:
        try:
            return await self._qdrant()
        except VecferryError:
            return "unknown"  # a document is worth more than this line of it


def _line(row: Any) -> Mapping[str, object]:
    return {
        "id": str(row["id"]),
        "collection": row["collection"],
        "generation": row["generation"],
        "clean": row["clean"],
        "created_at": as_text(row["created_at"]),
    }


def _proves_ports(
    receipts: PostgresReceipts, around: PostgresSurroundings
) -> tuple[Receipts, SuspectRoom, LookAround]:
    return receipts, receipts, around
