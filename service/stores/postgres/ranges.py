"""Ranges of jobs in ``vecferry.job_ranges``: leases, and pages that commit with their progress (R13).

A page takes the collection's row first: a drop waits for the page, and the page after it finds the row gone. Then come
points, and last the range, by a compare-and-set on attempt and cursor: who was replaced loses what it wrote.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from backfill.jobs import Claim, JobKind, Orders
from backfill.queue import Advance, RangeQueue, Refused, Suspect
from service.errors import StageError, StaleEpoch, TargetUnavailable
from service.model.ids import encode_key, sorted_keys
from service.model.points import Point
from service.protocol.refusals import refused_of
from service.stages import Side, Stage, authority
from service.stores.postgres import catalog, job_rows, quarantine, settling, writes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.failures import translated
from service.stores.postgres.job_rows import NOT_PAUSED, RANGE, WORKERS, live

# Who failed last, was given back or lost comes later: neither a range nor a job that cannot go on keeps others waiting.
# The collection's row is held, and one that is being dropped is passed by: a drop has jobs before their ranges. A CTE,
# because a subquery in FROM may be run again for every row of the other side, and lock another range each time.
_CLAIM = f"""
    WITH free AS MATERIALIZED (
        SELECT r.job, r.number, j.kind, j.generation, c.name AS collection, j.options
        FROM vecferry.jobs j
        JOIN vecferry.collections c ON c.id = j.generation
        JOIN vecferry.job_ranges r ON r.job = j.id
        WHERE j.state = 'running' AND j.kind = ANY ($2) AND {NOT_PAUSED} AND NOT r.done AND NOT {live("r")}
            AND coalesce({WORKERS} < (j.options->>'workers')::bigint, true)
        ORDER BY r.note IS NOT NULL, j.created_at, r.owner IS NOT NULL, r.heard_at NULLS FIRST, r.number
        LIMIT 1 FOR NO KEY UPDATE OF r SKIP LOCKED FOR KEY SHARE OF c SKIP LOCKED
    )
    UPDATE vecferry.job_ranges AS r SET
        owner = $1, attempt = r.attempt + 1, heard_at = clock_timestamp(), note = NULL
    FROM free WHERE r.job = free.job AND r.number = free.number
    RETURNING {RANGE}, free.kind, free.collection, free.generation, free.options, free.options ? 'workers' AS is_bounded
"""

_LOCK_JOB = "SELECT 1 FROM vecferry.jobs WHERE id = $1 FOR NO KEY UPDATE"

_HAS_ROOM = (
    f"SELECT {WORKERS} <= (j.options->>'workers')::bigint FROM vecferry.jobs j WHERE j.id = $1"
)

_HOLD = """
    SELECT c.xmin::text AS stamp, EXISTS (SELECT FROM vecferry.quarantine q WHERE q.generation = c.id) AS has_refused,
        (SELECT k.stage FROM vecferry.control k WHERE k.generation = c.id) AS stage
    FROM vecferry.collections c WHERE c.id = $1 FOR KEY SHARE OF c
"""

# Who has done the last page of a range may still have to wait, for the sake of the rate of all.
_RENEW = f"""
    WITH renewed AS (
        UPDATE vecferry.job_ranges SET heard_at = clock_timestamp(), note = $5
        WHERE job = $1 AND number = $2 AND attempt = $3 AND (owner = $4 OR done) RETURNING job
    )
    SELECT j.options, j.state AS job_state, {WORKERS} AS workers
    FROM renewed JOIN vecferry.jobs j ON j.id = renewed.job
"""

_RELEASE = """
    UPDATE vecferry.job_ranges SET owner = NULL, note = $5
    WHERE job = $1 AND number = $2 AND attempt = $3 AND owner = $4
"""

_ADVANCE = f"""
    UPDATE vecferry.job_ranges AS r SET
        cursor = $5::bytea, done = $5 IS NULL, owner = CASE WHEN $5 IS NULL THEN NULL ELSE r.owner END,
        heard_at = clock_timestamp(), scanned = r.scanned + $6, written = r.written + $7, bytes = r.bytes + $8,
        state = coalesce($9::jsonb, r.state)
    FROM vecferry.jobs AS j
    WHERE r.job = $1 AND r.number = $2 AND r.attempt = $3 AND r.cursor IS NOT DISTINCT FROM $4 AND NOT r.done
        AND j.id = r.job AND j.state = 'running'
    RETURNING {RANGE}, j.options, j.state AS job_state, {WORKERS} AS workers
"""

_LAST = """
    UPDATE vecferry.jobs SET state = 'finishing', owner = NULL, note = NULL, updated_at = now()
    WHERE id = $1 AND state = 'running' AND NOT EXISTS (SELECT FROM vecferry.job_ranges WHERE job = $1 AND NOT done)
"""

_GIVE_UP = """
    UPDATE vecferry.jobs SET
        state = 'failed', error = $4, note = NULL, ended_at = clock_timestamp(), updated_at = now()
    WHERE id = $1 AND state = 'running' AND EXISTS (
        SELECT FROM vecferry.job_ranges WHERE job = $1 AND number = $2 AND attempt = $3
    )
    RETURNING id
"""

_SUSPECT = """
    INSERT INTO vecferry.job_suspects AS s (job, key, kinds)
    SELECT $1, given.key, string_to_array(given.kinds, ',') FROM unnest($2::bytea[], $3::text[]) AS given (key, kinds)
    ON CONFLICT (job, key) DO UPDATE SET kinds = excluded.kinds, confirmed = NULL
"""

_CHANGING = """
    SELECT EXISTS (
        SELECT FROM vecferry.collection_intents WHERE behind = 'target' AND (name = $1 OR generation = $2)
    )
"""


_MOST_KNOWN = 64


class PostgresRanges:
    """``RangeQueue`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, CollectionTables] = {}

    async def claim(self, owner: UUID, kinds: Sequence[JobKind]) -> Claim | None:
        """Lease a range under a new attempt."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_CLAIM, owner, list(kinds))
            if row is None:
                return None
            claim = job_rows.claim_of(
                row,
                kind=JobKind(row["kind"]),
                collection=row["collection"],
                generation=row["generation"],
            )
            if row["is_bounded"] and not await _has_room(connection, claim):
                await connection.execute(_RELEASE, *_place(claim), owner, None)
                return None
        return claim

    async def renew(self, claim: Claim, owner: UUID, note: str | None) -> Orders:
        """Renew the lease and return the orders. Raises ``StaleEpoch``."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_RENEW, *_place(claim), owner, note)
        if row is None:
            raise _replaced(claim)
        return job_rows.orders_of(row)

    async def release(self, claim: Claim, owner: UUID, note: str | None = None) -> None:
        """Give the range back as it is."""
        async with self._database.connection() as connection:
            await connection.execute(_RELEASE, *_place(claim), owner, note)

    async def give_up(self, claim: Claim, error: str) -> None:
        """Fail the whole job. Raises ``StaleEpoch``."""
        async with self._database.connection() as connection:
            if await connection.fetchval(_GIVE_UP, *_place(claim), error) is None:
                raise _replaced(claim)

    async def advance(self, claim: Claim, after: Advance) -> tuple[Claim, Orders]:
        """Store a page's progress. Raises ``StaleEpoch``."""
        async with self._database.transaction() as connection:
            await self._held(connection, claim)
            return await _advanced(connection, claim, after)

    async def insert_page(
        self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
    ) -> tuple[Claim, Orders]:
        """Insert what is not there, and store the page's progress.

        No locks on the ids: a live write has left a row or a tombstone, or finds ours and replaces it.
        """
        async with self._database.transaction() as connection:
            tables, has_refused = await self._held(connection, claim)
            await quarantine.put(connection, tables, refused)
            written = await _inserted(connection, claim, tables, points)
            if has_refused:
                keys = sorted_keys(point.id for point in points)
                await quarantine.solved(connection, tables.id, keys)
            return await _advanced(connection, claim, replace(after, written=written))

    async def refused_of(self, claim: Claim, points: Sequence[Point]) -> Sequence[Refused]:
        """Return which of the points the target cannot hold.

        Raises ``TargetUnavailable`` while a change of the whole collection is on its way to the target: the points may
        fit then.
        """
        async with self._database.transaction() as connection:
            tables, _ = await self._held(connection, claim)
            if await connection.fetchval(_CHANGING, claim.collection, claim.generation):
                raise TargetUnavailable("is being changed as the source was")

            async def attempt(part: Sequence[Point]) -> None:
                with translated():
                    savepoint = connection.transaction()
                    await savepoint.start()
                    try:
                        await _inserted(connection, claim, tables, part)
                    finally:
                        await savepoint.rollback()

            found: list[Refused] = []
            left = list(points)
            while left:
                refused, left = await refused_of(left, attempt)
                found += [Refused(encode_key(p.id), settling.text_of(e)) for p, e in refused]
        return found

    async def _held(self, connection: Connection, claim: Claim) -> tuple[CollectionTables, bool]:
        """Keep the collection from being dropped until the transaction ends.

        Returns its tables, and whether its quarantine has anything. Raises ``StageError`` for a page of a copy whose
        source is no longer right.
        """
        row = await connection.fetchrow(_HOLD, claim.generation)
        if row is None:
            raise _replaced(claim)
        if claim.kind is JobKind.BACKFILL and row["stage"] is not None:
            _check_source_is_right(claim, Stage(row["stage"]))
        known = self._known.get(claim.generation)
        if known is None or known.stamp != row["stamp"]:
            known = await catalog.by_id(connection, claim.generation)
            if known is None:
                raise _replaced(claim)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[claim.generation] = known
        return known, row["has_refused"]


def _check_source_is_right(claim: Claim, stage: Stage) -> None:
    """Raise ``StageError`` when the source lags behind the target, or is left: what it has may be gone for good."""
    if authority(stage) is Side.TARGET:
        message = (
            f"`{claim.collection}` is in stage {stage} by now: Qdrant is no longer copied from"
        )
        raise StageError(message)


async def _inserted(
    connection: Connection, claim: Claim, tables: CollectionTables, points: Sequence[Point]
) -> int:
    try:
        return await writes.insert_missing(connection, tables, points)
    except asyncpg.UndefinedTableError as error:
        raise _replaced(claim) from error  # one of its vectors was dropped meanwhile


async def _has_room(connection: Connection, claim: Claim) -> bool:
    """Say whether the job has no more workers than its limit, this one included.

    With the job's row held: claims of others are committed, and seen, or wait for this one.
    """
    await connection.execute(_LOCK_JOB, claim.job)
    has_room: bool = await connection.fetchval(_HAS_ROOM, claim.job)
    return has_room


async def _advanced(connection: Connection, claim: Claim, after: Advance) -> tuple[Claim, Orders]:
    row = await connection.fetchrow(
        _ADVANCE,
        *_place(claim),
        claim.cursor,
        after.cursor,
        after.scanned,
        after.written,
        after.bytes,
        None if after.state is None else dict(after.state),
    )
    if row is None:
        raise _replaced(claim)
    if after.differences:
        await _suspect(connection, claim, after.differences)
    if after.cursor is None:
        await connection.execute(_LOCK_JOB, claim.job)
        await connection.execute(_LAST, claim.job)
    advanced = job_rows.claim_of(
        row, kind=claim.kind, collection=claim.collection, generation=claim.generation
    )
    return advanced, job_rows.orders_of(row)


async def _suspect(connection: Connection, claim: Claim, suspects: Sequence[Suspect]) -> None:
    kinds = {each.key: ",".join(each.kinds) for each in suspects}
    keys = sorted(kinds)
    await connection.execute(_SUSPECT, claim.job, keys, [kinds[key] for key in keys])


def _place(claim: Claim) -> tuple[UUID, int, int]:
    return claim.job, claim.number, claim.attempt


def _replaced(claim: Claim) -> StaleEpoch:
    return StaleEpoch(
        f"range {claim.number} of the {claim.kind} of `{claim.collection}` was taken over by another worker, its job"
        f" ended, or the collection was changed; attempt {claim.attempt} wrote nothing more"
    )


if TYPE_CHECKING:
    _port: type[RangeQueue] = PostgresRanges
