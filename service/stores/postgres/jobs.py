"""Backfill jobs in ``vecferry.backfills``, and the page that commits with its checkpoint (R13)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backfill.job import Job, JobState
from backfill.ports import BackfillStore
from service.errors import CollectionNotFound, StaleEpoch
from service.model.ids import PointId, decode_key, encode_key
from service.model.points import Point
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Connection, Database

_COLUMNS = "attempt, state, cursor, copied, scanned, total, error"

_START = f"""
    INSERT INTO vecferry.backfills AS b (generation, total) VALUES ($1, $2)
    ON CONFLICT (generation) DO UPDATE SET
        attempt = b.attempt + 1, state = 'running', total = excluded.total, error = NULL,
        cursor = CASE WHEN $3 THEN NULL ELSE b.cursor END,
        copied = CASE WHEN $3 THEN 0 ELSE b.copied END,
        scanned = CASE WHEN $3 THEN 0 ELSE b.scanned END,
        updated_at = now()
    WHERE $3 OR b.state <> 'done'
    RETURNING {_COLUMNS}
"""

_HOLD = """
    SELECT 1 FROM vecferry.backfills
    WHERE generation = $1 AND attempt = $2 AND cursor IS NOT DISTINCT FROM $3 AND state = 'running'
    FOR UPDATE
"""

_ADVANCE = """
    UPDATE vecferry.backfills
    SET state = $2, cursor = $3, copied = $4, scanned = $5, updated_at = now()
    WHERE generation = $1
"""

_FAIL = f"""
    UPDATE vecferry.backfills SET state = 'failed', error = $3, updated_at = now()
    WHERE generation = $1 AND attempt = $2 AND state = 'running'
    RETURNING {_COLUMNS}
"""


class PostgresJobs:
    """``BackfillStore`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, collection: str, *, total: int | None, restart: bool = False) -> Job:
        """Begin or take over under a new attempt; a job that is done is returned as it is."""
        async with self._database.transaction() as connection:
            tables = await catalog.get_shared(connection, collection)
            row = await connection.fetchrow(_START, tables.id, total, restart)
            if row is None:
                row = await _stored(connection, tables.id)
        return _job(collection, tables.id, row)

    async def get(self, collection: str) -> Job | None:
        """Return the job of the collection's present generation."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT generation, {_COLUMNS} FROM vecferry.backfills"
                " JOIN vecferry.collections c ON c.id = generation WHERE c.name = $1",
                collection,
            )
        return None if row is None else _job(collection, row["generation"], row)

    async def finish(self, job: Job, *, error: str) -> Job:
        """Record why the run gave up; without effect when another run has replaced it."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FAIL, job.generation, job.attempt, error)
        return job if row is None else _job(job.collection, job.generation, row)

    async def insert_page(
        self, job: Job, points: Sequence[Point], next_cursor: PointId | None
    ) -> Job:
        """Insert what is not there and advance the job, in one transaction.

        No locks on the ids: a live write has left a row or a tombstone, or finds ours and replaces
        it.
        """
        async with self._database.transaction() as connection:
            tables = await _hold(connection, job)
            copied = await writes.insert_missing(connection, tables, points)
            after = job.advanced(scanned=len(points), copied=copied, next_cursor=next_cursor)
            await connection.execute(
                _ADVANCE,
                job.generation,
                after.state,
                _key(after.cursor),
                after.copied,
                after.scanned,
            )
        return after


async def _hold(connection: Connection, job: Job) -> catalog.CollectionTables:
    """Lock the job's row; a drop of the collection deletes it first, and so waits for the page."""
    try:
        tables = await catalog.get(connection, job.collection)
    except CollectionNotFound as error:
        raise _replaced(job) from error
    held = await connection.fetchval(_HOLD, job.generation, job.attempt, _key(job.cursor))
    if held is None or tables.id != job.generation:
        raise _replaced(job)
    return tables


def _replaced(job: Job) -> StaleEpoch:
    message = (
        f"the backfill of `{job.collection}` was taken over by another run, or the collection was "
        f"dropped; attempt {job.attempt} wrote nothing more"
    )
    return StaleEpoch(message)


async def _stored(connection: Connection, generation: int) -> Any:
    return await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM vecferry.backfills WHERE generation = $1", generation
    )


def _job(collection: str, generation: int, row: Any) -> Job:
    return Job(
        collection=collection,
        generation=generation,
        attempt=row["attempt"],
        state=JobState(row["state"]),
        cursor=None if row["cursor"] is None else decode_key(row["cursor"]),
        copied=row["copied"],
        scanned=row["scanned"],
        total=row["total"],
        error=row["error"],
    )


def _key(cursor: PointId | None) -> bytes | None:
    return None if cursor is None else encode_key(cursor)


if TYPE_CHECKING:
    _port: type[BackfillStore] = PostgresJobs
