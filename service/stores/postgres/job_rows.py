"""Rows of jobs and of their ranges as values, and the SQL that several statements on them share."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from backfill.jobs import Claim, Job, JobKind, JobState, Options, Orders
from backfill.key_range import KeyRange
from service.errors import StaleEpoch
from service.stores.postgres.database import Connection

LEASE_SECONDS = 30.0
"""Who has not been heard of for so long is replaced. Measured by the database's clock."""

OPEN = "state IN ('preparing', 'running', 'finishing')"
NOT_PAUSED = "NOT coalesce((j.options->>'paused')::boolean, false)"


def live(alias: str) -> str:
    """Return the condition that somebody holds the row with this alias, a range or a job.

    Who was heard in the future, by a clock that was set back or another server's, is not waited for until then.
    """
    now, lease = "clock_timestamp()", f"make_interval(secs => {LEASE_SECONDS})"
    heard = f"{alias}.heard_at > {now} - {lease} AND {alias}.heard_at < {now} + {lease}"
    return f"({alias}.owner IS NOT NULL AND {heard})"


WORKERS = (
    f"(SELECT count(*) FROM vecferry.job_ranges AS held WHERE held.job = j.id AND {live('held')})"
)
"""How many ranges of the job ``j`` are worked on."""

JOBS = f"""
    SELECT j.id, j.kind, c.name AS collection, j.generation, j.state, j.options, j.attempt, j.total,
        j.error, j.result, j.created_at, j.ended_at,
        CASE WHEN j.state = 'running' THEN of.note ELSE j.note END AS note,
        greatest(j.updated_at, of.heard_at) AS updated_at,
        extract(epoch FROM coalesce(j.ended_at, clock_timestamp()) - j.created_at)::float8 AS elapsed_seconds,
        of.scanned, of.written, of.bytes, of.ranges, of.ranges_done, of.workers
    FROM vecferry.jobs j JOIN vecferry.collections c ON c.id = j.generation CROSS JOIN LATERAL (
        SELECT coalesce(sum(scanned), 0)::bigint AS scanned, coalesce(sum(written), 0)::bigint AS written,
            coalesce(sum(bytes), 0)::bigint AS bytes, count(*) AS ranges,
            count(*) FILTER (WHERE done) AS ranges_done, count(*) FILTER (WHERE {live("r")}) AS workers,
            max(note) FILTER (WHERE {live("r")}) AS note, max(heard_at) AS heard_at
        FROM vecferry.job_ranges AS r WHERE r.job = j.id
    ) of
"""

RANGE = (
    "r.job, r.number, r.attempt, r.first_key, r.until_key, r.cursor, r.state,"
    " r.scanned, r.written, r.bytes"
)

_HOLD = (
    "SELECT 1 FROM vecferry.jobs WHERE id = $1 AND attempt = $2 AND state = $3 FOR NO KEY UPDATE"
)


async def read(connection: Connection, job: UUID) -> Job:
    """Return a job. Raises ``StaleEpoch`` when it is gone: with its collection."""
    row = await connection.fetchrow(JOBS + " WHERE j.id = $1", job)
    if row is None:
        message = f"the job {job} is gone: its collection was dropped"
        raise StaleEpoch(message)
    return job_of(row)


async def exists(connection: Connection, job: UUID) -> bool:
    """Say whether a job is stored: old ones and those of dropped collections are not."""
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM vecferry.jobs WHERE id = $1)", job
    )
    return found


async def hold(connection: Connection, job: Job) -> None:
    """Keep a step from being taken over until the transaction ends. Raises ``StaleEpoch`` when it was."""
    if await connection.fetchval(_HOLD, job.id, job.attempt, job.state) is None:
        raise replaced(job)


def replaced(job: Job) -> StaleEpoch:
    """Return what a conductor is told that no longer has its step."""
    return StaleEpoch(
        f"the {job.kind} of `{job.collection}` was taken over by another conductor or cancelled, or the collection was"
        f" dropped; attempt {job.attempt} changed nothing more"
    )


def job_of(row: Mapping[str, Any]) -> Job:
    """Return a row of ``JOBS`` as a value."""
    fields = dict(row)
    return Job(
        **{
            **fields,
            "kind": JobKind(row["kind"]),
            "state": JobState(row["state"]),
            "options": Options(**row["options"]),
        }
    )


def claim_of(row: Mapping[str, Any], *, kind: JobKind, collection: str, generation: int) -> Claim:
    """Return a row with the columns ``RANGE`` and the job's ``options`` as a value."""
    return Claim(
        job=row["job"],
        kind=kind,
        collection=collection,
        generation=generation,
        number=row["number"],
        attempt=row["attempt"],
        range=KeyRange(row["first_key"], row["until_key"]),
        cursor=row["cursor"],
        options=Options(**row["options"]),
        state=row["state"],
        scanned=row["scanned"],
        written=row["written"],
        bytes=row["bytes"],
    )


def orders_of(row: Mapping[str, Any]) -> Orders:
    """Return the orders in a row with ``options``, ``workers`` and the job's ``job_state``."""
    is_open = row["job_state"] == JobState.RUNNING
    return Orders(Options(**row["options"]), max(1, row["workers"]), is_open)


def stored(options: Options) -> dict[str, Any]:
    """Return the options as they are kept: what is not set is left out."""
    return {name: value for name, value in asdict(options).items() if value is not None}
