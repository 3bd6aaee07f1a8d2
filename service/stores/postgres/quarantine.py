"""The quarantine in Postgres: points that the target cannot hold, each with the reason.

Rule 1: a row goes only when the target holds what the authority has of its id: with the resync that wrote it, or with
        a backfill's page that has read the source later than the page that was refused. A page cannot know that of a
        row that a resync has found: only a resync takes such a row away.
Rule 2: whoever lists an id from a page locks it first and looks for its row later. A row, or a tombstone, is newer than
        what the page has read, and comes from a resync that lists the id itself when it has to.
Rule 3: a waiver names an id, not a value. It holds while the id stays here, whatever is refused next (which is logged),
        and goes with the row: what the target can hold once is an ordinary point again.
"""

from collections.abc import Collection, Mapping, Sequence

import asyncpg
import structlog

from backfill.queue import Quarantine, Quarantined, Refused
from service.errors import CollectionNotFound, PointNotFound
from service.model.ids import PointId, decode_key, sorted_keys
from service.model.moments import as_text
from service.stores.postgres import locks
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.rows import execute
from service.translate.sql import Argument, sql

_log = structlog.get_logger(__name__)

_LONGEST_REASON = 500
_MOST_IDS_LOGGED = 10


_RECORD = """
    INSERT INTO vecferry.quarantine AS q (generation, key, reason, found_by)
    SELECT $1, w.key, w.reason, 'resync' FROM unnest($2::bytea[], $3::text[]) AS w (key, reason)
    ORDER BY w.key
    ON CONFLICT (generation, key) DO UPDATE
        SET reason = excluded.reason, found_by = excluded.found_by, refused_at = now()
    RETURNING q.key, q.waived_by IS NOT NULL AS waived
"""

_SOLVED_BY_RESYNC = (
    "DELETE FROM vecferry.quarantine WHERE generation = $1 AND key = ANY ($2::bytea[])"
)

_SOLVED_BY_PAGE = f"{_SOLVED_BY_RESYNC} AND found_by <> 'resync'"

_LISTED = """
    SELECT c.name, q.generation, q.key, q.reason, q.found_by, q.waived_by,
           q.found_at, coalesce(q.refused_at > q.waived_at, false) AS refused_again
    FROM vecferry.quarantine AS q JOIN vecferry.collections AS c ON c.id = q.generation
    WHERE ($1::text IS NULL OR c.name = $1) AND (q.generation, q.key) > ($2, $3)
    ORDER BY q.generation, q.key
    LIMIT $4
"""

_COUNTS = """
    SELECT c.name, count(*) FILTER (WHERE q.waived_by IS NULL) AS blocking,
           count(q.waived_by) AS waived
    FROM vecferry.quarantine AS q JOIN vecferry.collections AS c ON c.id = q.generation
    GROUP BY c.name ORDER BY c.name
"""

BLOCKING = """
    SELECT count(*) FROM vecferry.quarantine WHERE generation = $1 AND waived_by IS NULL
"""

_WAIVED_KEYS = "SELECT key FROM vecferry.quarantine WHERE generation = $1 AND waived_by IS NOT NULL"

_KEYS = """
    SELECT key FROM vecferry.quarantine
    WHERE generation = $1 AND ($2::bytea[] IS NULL OR key = ANY ($2)) AND ($3::bytea IS NULL OR key > $3)
    ORDER BY key LIMIT $4
"""

_WAIVE = """
    UPDATE vecferry.quarantine SET waived_by = $3, waived_at = now()
    WHERE generation = $1 AND key = ANY ($2::bytea[]) AND waived_by IS NULL
"""

# What is refused has been narrowed to the refused ids; what is undecided stays. `SKIP LOCKED`: what a resync holds is
# being tried at this very moment, and finds the waiver when it is refused.
_SETTLE_WAIVED = """
    WITH refused AS (
        SELECT id, keys FROM vecferry.intents
        WHERE generation = $1 AND behind = 'target' AND failures > 0
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    DELETE FROM vecferry.intents AS i USING refused AS r
    WHERE i.id = r.id AND NOT EXISTS (
        SELECT 1 FROM generate_series(1, octet_length(r.keys), 17) AS at
        WHERE NOT EXISTS (
            SELECT 1 FROM vecferry.quarantine AS q
            WHERE q.generation = $1 AND q.key = substr(r.keys, at, 17) AND q.waived_by IS NOT NULL
        )
    )
"""

_AUDIT = """
    INSERT INTO vecferry.audit (collection, epoch, actor)
    VALUES ($1, (SELECT epoch FROM vecferry.control WHERE generation = $2), $3)
"""


async def put(
    connection: Connection,
    tables: CollectionTables,
    refused: Sequence[Refused],
) -> None:
    """List what a backfill's page could not write; call it before the inserts, which may deadlock with its locks.

    Ids that have a row or a tombstone by now are left out.
    """
    reasons = {each.key: each.reason for each in refused}
    keys = sorted(reasons)
    if not keys:
        return
    await locks.lock(connection, tables.id, keys)
    await execute(
        connection,
        sql(
            "INSERT INTO vecferry.quarantine AS q (generation, key, reason, found_by) SELECT ",
            Argument(tables.id),
            "::bigint, w.key, w.reason, 'backfill' FROM unnest(",
            Argument(keys),
            "::bytea[], ",
            Argument([_reason(reasons[key]) for key in keys]),
            "::text[]) AS w (key, reason) WHERE NOT EXISTS (SELECT 1 FROM ",
            tables.points,
            " AS p WHERE p.key = w.key) ORDER BY w.key ON CONFLICT (generation, key) DO UPDATE"
            " SET reason = excluded.reason, refused_at = now()",
        ),
    )
    _log.warning(
        "points_quarantined",
        collection=tables.name,
        found_by="backfill",
        ids=[decode_key(key) for key in keys[:_MOST_IDS_LOGGED]],
        of=len(keys),
        reason=reasons[keys[0]],
    )


async def solved(connection: Connection, generation: int, keys: Sequence[bytes]) -> None:
    """Take away what a page has written after all; what a resync has found stays (rule 1)."""
    await connection.execute(_SOLVED_BY_PAGE, generation, keys)


async def equalled(connection: Connection, generation: int, keys: Collection[bytes]) -> None:
    """Take away what a resync has made equal, under the ids' locks."""
    if keys:
        await connection.execute(_SOLVED_BY_RESYNC, generation, sorted(keys))


async def record(
    connection: Connection, generation: int, refused: Mapping[bytes, str]
) -> frozenset[bytes]:
    """List what a resync could not write, under the ids' locks; return those that are waived."""
    if not refused:
        return frozenset()
    keys = sorted(refused)
    rows = await connection.fetch(
        _RECORD, generation, keys, [_reason(refused[key]) for key in keys]
    )
    waived = frozenset(bytes(row["key"]) for row in rows if row["waived"])
    if waived:
        _log.warning(
            "waived_point_refused_again",
            generation=generation,
            ids=[decode_key(key) for key in sorted(waived)[:_MOST_IDS_LOGGED]],
            of=len(waived),
            reason=refused[min(waived)],
        )
    return waived


class PostgresQuarantine:
    """``Quarantine`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listed(
        self, collection: str | None, *, limit: int, after: tuple[int, bytes] | None = None
    ) -> Sequence[Quarantined]:
        """Return a page in the order of generation and key."""
        generation, key = after or (0, b"")
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LISTED, collection, generation, key, limit)
        return [_quarantined(row) for row in rows]

    async def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return by collection how many block the flip and how many are waived."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_COUNTS)
        return {row["name"]: (row["blocking"], row["waived"]) for row in rows}

    async def waive(self, collection: str, ids: Sequence[PointId], *, actor: str) -> int:
        """Accept that the target lacks these points, each by name; returns how many were not waived before.

        Raises ``PointNotFound`` naming the first id that is not in the quarantine. Refused intents that stand for
        nothing else are settled with it: the quarantine keeps their ids.
        """
        keys = sorted_keys(ids)
        async with self._database.transaction() as connection:
            generation = await _generation(connection, collection)
            rows = await connection.fetch(
                "SELECT key FROM vecferry.quarantine WHERE generation = $1"
                " AND key = ANY ($2::bytea[]) ORDER BY key FOR UPDATE",
                generation,
                keys,
            )
            _require(keys, {bytes(row["key"]) for row in rows}, collection)
            status: str = await connection.execute(_WAIVE, generation, keys, actor)
            await connection.execute(_SETTLE_WAIVED, generation)
            named = ", ".join(str(decode_key(key)) for key in keys)
            await connection.execute(
                _AUDIT, collection, generation, f"{actor}: waived {len(keys)} point(s): {named}"
            )
        return int(status.rpartition(" ")[2])

    async def blocking(self, generation: int) -> int:
        """Return how many are neither solved nor waived."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(BLOCKING, generation)
        return count

    async def waived_keys(self, generation: int) -> frozenset[bytes]:
        """Return what a verification leaves out, and says so."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_WAIVED_KEYS, generation)
        return frozenset(bytes(row["key"]) for row in rows)

    async def keys(
        self,
        generation: int,
        *,
        among: Sequence[bytes] | None = None,
        after: bytes | None = None,
        limit: int,
    ) -> Sequence[bytes]:
        """Return listed keys of a generation, ascending, waived or not; of some or of all."""
        wanted = None if among is None else list(among)
        async with self._database.connection() as connection:
            rows = await connection.fetch(_KEYS, generation, wanted, after, limit)
        return [bytes(row["key"]) for row in rows]


async def _generation(connection: Connection, collection: str) -> int:
    generation: int | None = await connection.fetchval(
        "SELECT id FROM vecferry.collections WHERE name = $1", collection
    )
    if generation is None:
        raise CollectionNotFound(collection)
    return generation


def _require(keys: Sequence[bytes], found: set[bytes], collection: str) -> None:
    for key in keys:
        if key not in found:
            raise PointNotFound(
                f"No point with id {decode_key(key)} in the quarantine of `{collection}`"
            )


def _quarantined(row: asyncpg.Record) -> Quarantined:
    return Quarantined(
        collection=row["name"],
        generation=row["generation"],
        id=decode_key(row["key"]),
        reason=row["reason"],
        found_by=row["found_by"],
        found_at=as_text(row["found_at"]),
        waived_by=row["waived_by"],
        refused_again=row["refused_again"],
    )


def _reason(text: str) -> str:
    """Return a refusal's words as a column can hold them."""
    return text[:_LONGEST_REASON].replace("\x00", "").encode("utf-8", "replace").decode()


def _proves_port(quarantine: PostgresQuarantine) -> Quarantine:
    return quarantine
