"""Jobs in ``vecferry.jobs``: as an operator sees them, and their steps for conductors.

Order of locks: the collection's row, ranges, the job's row. A drop of the collection deletes its row first, so it waits
for whoever holds that one, and takes jobs and ranges along.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any
from uuid import UUID

from backfill.jobs import Claim, Job, JobKind, JobState, Options
from backfill.key_range import KeyRange
from backfill.queue import Jobs, StepQueue, Suspect
from service.stores.postgres import catalog, job_rows
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.job_rows import JOBS, NOT_PAUSED, OPEN, RANGE, live

_NEWEST = JOBS + " WHERE j.kind = $1 AND j.generation = $2 ORDER BY j.created_at DESC LIMIT 1"

_NEWEST_OF_ALL = (
    JOBS
    + """ WHERE j.id IN (
        SELECT DISTINCT ON (generation, kind) id FROM vecferry.jobs ORDER BY generation, kind, created_at DESC
    ) ORDER BY c.name COLLATE "C", j.kind"""
)

_KEPT = 20
"""Jobs of a kind and generation that are kept when they are done, and as many that failed or were cancelled."""

# Old ones go with their ranges and suspects when another begins.
_MAKE = f"""
    WITH pruned AS (
        DELETE FROM vecferry.jobs WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER (PARTITION BY state = 'done' ORDER BY created_at DESC) AS place
                FROM vecferry.jobs WHERE kind = $1 AND generation = $2 AND NOT {OPEN}
            ) AS ended WHERE place > {_KEPT}
        )
    )
    INSERT INTO vecferry.jobs (kind, generation, options, created_at) VALUES ($1, $2, $3, clock_timestamp())
    RETURNING id
"""

_TUNE = """
    UPDATE vecferry.jobs SET options = jsonb_strip_nulls(options || $2::jsonb), updated_at = now() WHERE id = $1
"""

# Where it goes on: no ranges, an open range, or none.
_RESUME = """
    UPDATE vecferry.jobs SET
        state = (
            SELECT CASE WHEN count(*) = 0 THEN 'preparing' WHEN bool_and(done) THEN 'finishing' ELSE 'running' END
            FROM vecferry.job_ranges WHERE job = $1
        ),
        options = $2, error = NULL, note = NULL, owner = NULL, ended_at = NULL, updated_at = now()
    WHERE id = $1 AND state = 'failed'
"""

_END = """
    UPDATE vecferry.jobs SET
        state = $2, error = $3, result = $4, note = NULL, owner = NULL, ended_at = clock_timestamp(), updated_at = now()
    WHERE id = $1
"""

_CLAIM = f"""
    UPDATE vecferry.jobs SET owner = $1, attempt = attempt + 1, heard_at = clock_timestamp(), note = NULL
    WHERE id = (
        SELECT j.id FROM vecferry.jobs j
        WHERE j.state IN ('preparing', 'finishing') AND j.kind = ANY ($2) AND {NOT_PAUSED} AND NOT {live("j")}
        ORDER BY j.created_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING id
"""

_RENEW = """
    UPDATE vecferry.jobs SET heard_at = clock_timestamp(), note = $5
    WHERE id = $1 AND attempt = $2 AND state = $3 AND owner = $4
    RETURNING id
"""

_RANGES = """
    INSERT INTO vecferry.job_ranges (job, number, first_key, until_key)
    SELECT $1, number - 1, first_key, until_key
    FROM unnest($2::bytea[], $3::bytea[]) WITH ORDINALITY AS given (first_key, until_key, number)
"""

_JUDGE = """
    UPDATE vecferry.job_suspects AS s SET kinds = string_to_array(given.kinds, ','), confirmed = given.confirmed
    FROM unnest($2::bytea[], $3::text[], $4::boolean[]) AS given (key, kinds, confirmed)
    WHERE s.job = $1 AND s.key = given.key
"""


class _Start(Enum):
    """What a request for a job comes down to."""

    TAKE = auto()
    """The newest one is the answer."""
    RESUME = auto()
    REPLACE = auto()
    """End the newest one and make another."""
    MAKE = auto()


def _start(newest: Job | None, kind: JobKind, *, restart: bool) -> _Start:
    match newest:
        case None:
            return _Start.MAKE
        case Job() if restart:
            return _Start.REPLACE if newest.state.is_open else _Start.MAKE
        case Job(state=JobState.FAILED):
            return _Start.RESUME
        case Job(state=JobState.DONE) if kind is JobKind.BACKFILL:
            return _Start.TAKE
        case Job():
            return _Start.TAKE if newest.state.is_open else _Start.MAKE


class PostgresJobs:
    """``Jobs`` and ``StepQueue`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, kind: JobKind, collection: str, options: Options, *, restart: bool = False
    ) -> Job:
        """Make a job, or take or resume the newest one. Raises ``CollectionNotFound``."""
        async with self._database.transaction() as connection:
            # Alone, so that two requests at once come to the same job.
            tables = await catalog.get_for_update(connection, collection)
            newest = await _newest(connection, kind, tables.id)
            match newest, _start(newest, kind, restart=restart):
                case Job(), _Start.TAKE:
                    return newest
                case Job(), _Start.RESUME:
                    await _resume(connection, newest, options)
                    return await job_rows.read(connection, newest.id)
                case Job(), _Start.REPLACE:
                    await connection.execute(_END, newest.id, JobState.CANCELLED, None, None)
                case _:
                    pass
            made = await connection.fetchval(_MAKE, kind, tables.id, job_rows.stored(options))
            return await job_rows.read(connection, made)

    async def latest(self, kind: JobKind, collection: str) -> Job | None:
        """Return the newest job of a kind, of the collection's present generation."""
        async with self._database.connection() as connection:
            tables = await catalog.get(connection, collection)
            return await _newest(connection, kind, tables.id)

    async def open_jobs(self) -> Sequence[Job]:
        """Return all that are not at their end, oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(f"{JOBS} WHERE j.{OPEN} ORDER BY j.created_at")
        return [job_rows.job_of(row) for row in rows]

    async def latest_of_all(self) -> Sequence[Job]:
        """Return the newest job of each kind of every collection, by collection and kind."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_NEWEST_OF_ALL)
        return [job_rows.job_of(row) for row in rows]

    async def tune(self, job: UUID, changes: Mapping[str, object]) -> Job:
        """Change some options. Raises ``StaleEpoch`` when the job is gone with its collection."""
        async with self._database.connection() as connection:
            await connection.execute(_TUNE, job, dict(changes))
            return await job_rows.read(connection, job)

    async def cancel(self, job: UUID) -> Job:
        """End a job that is open or failed; another one stays. Raises as :meth:`tune`."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE vecferry.jobs SET state = 'cancelled', note = NULL, owner = NULL,"
                f" ended_at = clock_timestamp(), updated_at = now() WHERE id = $1 AND ({OPEN} OR state = 'failed')",
                job,
            )
            return await job_rows.read(connection, job)

    async def claim_step(self, owner: UUID, kinds: Sequence[JobKind]) -> Job | None:
        """Lease the oldest step that nobody holds, under a new attempt."""
        async with self._database.connection() as connection:
            claimed = await connection.fetchval(_CLAIM, owner, list(kinds))
            if claimed is None:
                return None
            rows = await connection.fetch(JOBS + " WHERE j.id = $1", claimed)
        return job_rows.job_of(rows[0]) if rows else None

    async def renew_step(self, job: Job, owner: UUID, note: str | None) -> None:
        """Renew the lease. Raises ``StaleEpoch``."""
        async with self._database.connection() as connection:
            held = await connection.fetchval(_RENEW, job.id, job.attempt, job.state, owner, note)
        if held is None:
            raise job_rows.replaced(job)

    async def release_step(self, job: Job, owner: UUID) -> None:
        """Give the step back."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE vecferry.jobs SET owner = NULL WHERE id = $1 AND attempt = $2 AND owner = $3",
                job.id,
                job.attempt,
                owner,
            )

    async def prepared(self, job: Job, ranges: Sequence[KeyRange], total: int | None) -> Job:
        """Store the ranges, and have workers claim them. Raises ``StaleEpoch``."""
        async with self._database.transaction() as connection:
            await job_rows.hold(connection, job)
            await connection.execute(
                _RANGES, job.id, [each.first for each in ranges], [each.until for each in ranges]
            )
            await connection.execute(
                "UPDATE vecferry.jobs SET state = $2, total = $3, owner = NULL, note = NULL, updated_at = now()"
                " WHERE id = $1",
                job.id,
                JobState.RUNNING if ranges else JobState.FINISHING,
                total,
            )
            return await job_rows.read(connection, job.id)

    async def finished(self, job: Job, result: Mapping[str, object]) -> Job:
        """End the job. Raises ``StaleEpoch``."""
        return await self._ended(job, JobState.DONE, None, dict(result))

    async def failed(self, job: Job, error: str) -> Job:
        """End the job for a reason that does not pass by itself. Raises ``StaleEpoch``."""
        return await self._ended(job, JobState.FAILED, error, None)

    async def _ended(
        self, job: Job, state: JobState, error: str | None, result: dict[str, object] | None
    ) -> Job:
        async with self._database.transaction() as connection:
            await job_rows.hold(connection, job)
            await connection.execute(_END, job.id, state, error, result)
            return await job_rows.read(connection, job.id)

    async def suspects(
        self, job: Job, *, limit: int, after: bytes | None = None
    ) -> Sequence[Suspect]:
        """Return ids that differ in the order of their keys, behind ``after``."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT key, kinds, confirmed FROM vecferry.job_suspects"
                " WHERE job = $1 AND key > coalesce($2, ''::bytea) ORDER BY key LIMIT $3",
                job.id,
                after,
                limit,
            )
        return [Suspect(row["key"], tuple(row["kinds"]), row["confirmed"]) for row in rows]

    async def judged(self, job: Job, suspects: Sequence[Suspect]) -> None:
        """Store which ids were confirmed under their lock; those with no kinds left are forgotten."""
        differing = sorted((each for each in suspects if each.kinds), key=lambda each: each.key)
        async with self._database.transaction() as connection:
            await job_rows.hold(connection, job)
            await connection.execute(
                "DELETE FROM vecferry.job_suspects WHERE job = $1 AND key = ANY ($2::bytea[])",
                job.id,
                sorted(each.key for each in suspects if not each.kinds),
            )
            await connection.execute(
                _JUDGE,
                job.id,
                [each.key for each in differing],
                [",".join(each.kinds) for each in differing],
                [each.confirmed for each in differing],
            )

    async def ranges(self, job: Job) -> Sequence[Claim]:
        """Return all ranges of the job, as they were last stored, in order."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {RANGE}, j.options FROM vecferry.job_ranges r JOIN vecferry.jobs j ON j.id = r.job"
                " WHERE r.job = $1 ORDER BY r.number",
                job.id,
            )
        return [
            job_rows.claim_of(
                row, kind=job.kind, collection=job.collection, generation=job.generation
            )
            for row in rows
        ]


async def _newest(connection: Connection, kind: JobKind, generation: int) -> Job | None:
    row: Any = await connection.fetchrow(_NEWEST, kind, generation)
    return None if row is None else job_rows.job_of(row)


async def _resume(connection: Connection, job: Job, options: Options) -> None:
    # Workers of the time before it failed have dropped their ranges: nobody waits for the end of their leases.
    await connection.execute(
        "UPDATE vecferry.job_ranges SET owner = NULL WHERE job = $1 AND owner IS NOT NULL", job.id
    )
    await connection.execute(_RESUME, job.id, job_rows.stored(options))


if TYPE_CHECKING:
    _jobs: type[Jobs] = PostgresJobs
    _steps: type[StepQueue] = PostgresJobs
