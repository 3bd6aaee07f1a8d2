"""The ledger as an operator reads it, from the intents of points and those of whole collections."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from service.model.ids import decode_key, unpack_keys
from service.protocol.book import LedgerBook, Line, LineState, Tally
from service.protocol.ledger import Place
from service.stages import Side
from service.stores.postgres.database import Database

# A change of a whole collection has no ids; it is owed from the beginning, for it may have reached one store.
_LEDGER = """
    SELECT i.id, coalesce(c.name, '') AS collection, i.generation, i.behind,
           CASE WHEN i.dead THEN 'dead' WHEN i.failures > 0 THEN 'failing' ELSE 'open' END AS state,
           i.cause, i.keys, false AS is_whole, i.owed, i.owner, i.failures, i.error, i.created_at
    FROM vecferry.intents AS i LEFT JOIN vecferry.collections AS c ON c.id = i.generation
    UNION ALL
    SELECT id, name, generation, behind,
           CASE WHEN failures > 0 THEN 'failing' ELSE 'open' END,
           cause, ''::bytea, true, true, owner, failures, error, created_at
    FROM vecferry.collection_intents
"""

_LINES = f"""
    SELECT *, extract(epoch FROM clock_timestamp() - created_at)::float8 AS age
    FROM ({_LEDGER}) AS l
    WHERE ($1::text IS NULL OR collection = $1)
      AND ($2::text IS NULL OR state = $2)
      AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4::uuid))
    ORDER BY created_at, id
    LIMIT $5
"""

_TALLIES = f"""
    SELECT collection, behind, state, cause, count(*) AS intents,
           sum(octet_length(keys) / 17)::bigint AS ids,
           extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS oldest
    FROM ({_LEDGER}) AS l
    WHERE $1::text IS NULL OR collection = $1
    GROUP BY collection, behind, state, cause
    ORDER BY intents DESC, collection, behind, state, cause
"""

# What somebody holds is being tried at this very moment. `error` stays: it is what was last said.
_RETRY = """
    UPDATE vecferry.intents SET failures = 0, dead = false, failed_at = NULL
    WHERE id IN (
        SELECT i.id FROM vecferry.intents AS i
        WHERE (i.dead OR i.failures > 0)
          AND ($1::text IS NULL
               OR i.generation = (SELECT id FROM vecferry.collections WHERE name = $1))
          AND ($2::uuid[] IS NULL OR i.id = ANY ($2))
        ORDER BY i.id
        FOR UPDATE SKIP LOCKED
    )
"""

_RETRY_WHOLE = """
    UPDATE vecferry.collection_intents SET failures = 0, failed_at = NULL
    WHERE id IN (
        SELECT id FROM vecferry.collection_intents
        WHERE failures > 0
          AND ($1::text IS NULL OR name = $1)
          AND ($2::uuid[] IS NULL OR id = ANY ($2))
        ORDER BY id
        FOR UPDATE SKIP LOCKED
    )
"""


class PostgresBook:
    """``LedgerBook`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(
        self, *, collection: str | None, state: LineState | None, after: Place | None, limit: int
    ) -> tuple[Sequence[Line], Place | None]:
        """Return a page, oldest first, and its last place; ``None`` when no line is left behind it."""
        at, behind = (None, None) if after is None else (after.created_at, after.id)
        async with self._database.connection() as connection:
            # One more than asked for says whether there are more.
            rows = await connection.fetch(_LINES, collection, state, at, behind, limit + 1)
        page = rows[:limit]
        last = Place(page[-1]["created_at"], page[-1]["id"]) if len(rows) > limit else None
        return [_line(row) for row in page], last

    async def tallies(self, *, collection: str | None) -> Sequence[Tally]:
        """Return the counts by collection, side, state and cause, largest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_TALLIES, collection)
        return [_tally(row) for row in rows]

    async def retry(self, *, collection: str | None, ids: Sequence[UUID] | None) -> int:
        """Have failing and dead intents tried again now; all of a collection, or those named; returns how many."""
        wanted = None if ids is None else list(ids)
        async with self._database.transaction() as connection:
            points = await connection.execute(_RETRY, collection, wanted)
            whole = await connection.execute(_RETRY_WHOLE, collection, wanted)
        return sum(int(status.rpartition(" ")[2]) for status in (points, whole))


def _line(row: asyncpg.Record) -> Line:
    return Line(
        id=row["id"],
        collection=row["collection"],
        generation=row["generation"],
        behind=Side(row["behind"]),
        state=LineState(row["state"]),
        cause=row["cause"],
        ids=tuple(decode_key(key) for key in unpack_keys(row["keys"])),
        is_whole=row["is_whole"],
        owed=row["owed"],
        owner=row["owner"],
        age_seconds=row["age"],
        failures=row["failures"],
        error=row["error"],
    )


def _tally(row: asyncpg.Record) -> Tally:
    return Tally(
        collection=row["collection"],
        behind=Side(row["behind"]),
        state=LineState(row["state"]),
        cause=row["cause"],
        intents=row["intents"],
        ids=row["ids"],
        oldest_seconds=row["oldest"],
    )


def _proves_port(book: PostgresBook) -> LedgerBook:
    return book
