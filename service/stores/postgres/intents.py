"""The ledger in Postgres: intents, and the two resyncs that settle them."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from service.model.ids import PointId, decode_key, pack_keys, unpack_keys
from service.model.points import Point
from service.protocol.ledger import Fetch, Intent, IntentLog, LedgerEntry, Push, Settled
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres import catalog, reads, writes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database

# FOR SHARE waits for a stage change that holds the row and then sees its result; the join refuses the old epoch (R5).
# An owner that was fenced has no row in instances and inserts nothing.
_INSERT = """
    WITH wanted AS (
        SELECT * FROM unnest(
            $1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::boolean[], $6::bytea[], $7::text[]
        ) AS w (id, generation, epoch, behind, owed, keys, cause)
    ), current AS (
        SELECT generation, epoch FROM vecferry.control
        WHERE generation = ANY ($2::bigint[])
        FOR SHARE
    )
    INSERT INTO vecferry.intents (id, generation, epoch, owner, behind, owed, keys, cause)
    SELECT w.id, w.generation, w.epoch, $8, w.behind, w.owed, w.keys, w.cause
    FROM wanted AS w JOIN current USING (generation, epoch)
    WHERE EXISTS (SELECT 1 FROM vecferry.instances AS i WHERE i.id = $8)
    RETURNING id
"""

_OPEN = """
    SELECT i.id, i.generation, c.name, i.behind, i.keys
    FROM vecferry.intents AS i JOIN vecferry.collections AS c ON c.id = i.generation
    WHERE i.owner = $1
    ORDER BY i.created_at
    LIMIT $2
"""

_FENCE = """
    DELETE FROM vecferry.instances
    WHERE id <> $1 AND heartbeat_at < now() - make_interval(secs => $2)
    RETURNING id
"""

# An owner without a row was fenced, or left in the middle of a write. What somebody holds is being settled.
_ADOPT = """
    WITH orphans AS (
        SELECT id FROM vecferry.intents
        WHERE owner <> $1 AND owner NOT IN (SELECT id FROM vecferry.instances)
        ORDER BY created_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ), mine AS (
        UPDATE vecferry.intents SET owner = $1
        WHERE id IN (SELECT id FROM orphans)
        RETURNING id, generation, behind, keys, created_at
    )
    SELECT m.id, m.generation, c.name, m.behind, m.keys
    FROM mine AS m JOIN vecferry.collections AS c ON c.id = m.generation
    ORDER BY m.created_at
"""

_HOLD = "SELECT id FROM vecferry.intents WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE"

_OWING = """
    SELECT EXISTS (
        SELECT 1 FROM vecferry.intents AS i
        WHERE i.generation = c.generation AND i.owed AND i.behind = 'target'
    )
    FROM vecferry.control AS c
    WHERE c.generation = $1 AND c.epoch = $2
"""


class PostgresIntents:
    """``IntentLog`` on the target's database.

    Resyncs hold a connection for as long as Qdrant takes to answer; everything that a client waits for goes over
    ``reserved``, which they cannot exhaust (R14).
    """

    def __init__(self, database: Database, reserved: Database | None = None) -> None:
        self._database = database
        self._reserved = reserved or database

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Commit the intents whose epoch is current, in one statement; return those that were taken."""
        async with self._reserved.connection() as connection:
            return await insert(connection, intents, owner=owner)

    async def open_entries(self, *, owner: UUID, limit: int) -> list[LedgerEntry]:
        """Return the owner's oldest unsettled intents."""
        async with self._reserved.connection() as connection:
            return [_entry(row) for row in await connection.fetch(_OPEN, owner, limit)]

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        """Fence owners that were silent for so long and take over the oldest intents without a live owner."""
        async with self._reserved.transaction() as connection:
            await connection.fetch(_FENCE, owner, silent_seconds)
            return [_entry(row) for row in await connection.fetch(_ADOPT, owner, limit)]

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        """Say whether an answered write may be missing; ``None`` when the epoch is not current."""
        async with self._reserved.connection() as connection:
            owing: bool | None = await connection.fetchval(_OWING, generation, epoch)
            return owing

    async def sizes(self) -> dict[Side, int]:
        """Return the number of unsettled intents by the store that may be behind."""
        async with self._reserved.connection() as connection:
            rows = await connection.fetch(
                "SELECT behind, count(*) AS size FROM vecferry.intents GROUP BY behind"
            )
        return {**dict.fromkeys(Side, 0), **{Side(row["behind"]): row["size"] for row in rows}}

    async def oldest_seconds(self) -> float:
        """Return the age of the oldest unsettled intent, 0 when there is none."""
        async with self._reserved.connection() as connection:
            seconds: float = await connection.fetchval(
                "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8"
                " FROM vecferry.intents"
            )
        return seconds

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settled:
        """Copy the source's present state of these ids to the target and delete the intents."""
        async with self._database.transaction() as connection:
            await writes.lock(connection, generation, keys)
            tables = await _held_tables(connection, generation, intents, Side.SOURCE)
            if not isinstance(tables, CollectionTables):
                return await _discard(connection, tables, intents)
            ids = [decode_key(key) for key in keys]
            present = await fetch(ids)
            await writes.mirror(connection, tables, present, _absent(ids, present))
            await _delete(connection, intents)
        return Settled.DONE

    async def settle_source(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], push: Push
    ) -> Settled:
        """Copy the target's present state of these ids to the source and delete the intents.

        A write that commits while the copy is under way has an intent of its own and is copied after it.
        """
        async with self._database.transaction() as connection:
            # Locks of their own space: pushes to the source take turns, writers never wait for one.
            await writes.lock(connection, -generation, keys)
            tables = await _held_tables(connection, generation, intents, Side.TARGET)
            if not isinstance(tables, CollectionTables):
                return await _discard(connection, tables, intents)
            present = await reads.whole_points(connection, tables, keys)
            await push(present, _absent([decode_key(key) for key in keys], present))
            await _delete(connection, intents)
        return Settled.DONE


async def insert(connection: Connection, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
    """Insert intents on a connection of the caller's, who decides about the transaction."""
    rows = await connection.fetch(
        _INSERT,
        [intent.id for intent in intents],
        [intent.generation for intent in intents],
        [intent.epoch for intent in intents],
        [intent.behind for intent in intents],
        [intent.owed for intent in intents],
        [pack_keys(intent.keys) for intent in intents],
        [intent.cause for intent in intents],
        owner,
    )
    return {row["id"] for row in rows}


async def _held_tables(
    connection: Connection, generation: int, intents: Sequence[UUID], right: Side
) -> CollectionTables | Settled:
    """Hold the intents and say where their data is, or why there is nothing to make equal.

    Called after the ids were locked, in later statements. A change of authority needs an empty ledger, so it cannot
    happen while an intent is held; the control row itself is not locked, because a store may be slow to answer.
    Without the intent (somebody settled it, or recovered it too early, R7) only a copy to the target is safe: under the
    ids' locks it is older than any write of the new authority. A push to the source could undo a write there.
    """
    held = await connection.fetch(_HOLD, list(intents))
    stage = await connection.fetchval(
        "SELECT stage FROM vecferry.control WHERE generation = $1", generation
    )
    is_safe = bool(held) or right is Side.SOURCE
    if not is_safe or stage is None or not mirrors(Stage(stage)):
        return Settled.GONE
    if authority(Stage(stage)) is not right:
        return Settled.REVERSED
    tables = await catalog.by_id(connection, generation)
    return Settled.GONE if tables is None else tables


async def _discard(connection: Connection, settled: Settled, intents: Sequence[UUID]) -> Settled:
    if settled is Settled.GONE:
        await _delete(connection, intents)
    return settled


async def _delete(connection: Connection, intents: Sequence[UUID]) -> None:
    await connection.execute(
        "DELETE FROM vecferry.intents WHERE id = ANY ($1::uuid[])", list(intents)
    )


def _absent(ids: Sequence[PointId], present: Sequence[Point]) -> list[PointId]:
    found = {point.id for point in present}
    return [point_id for point_id in ids if point_id not in found]


def _entry(row: asyncpg.Record) -> LedgerEntry:
    return LedgerEntry(
        id=row["id"],
        generation=row["generation"],
        collection=row["name"],
        behind=Side(row["behind"]),
        keys=tuple(unpack_keys(row["keys"])),
    )


def _proves_port(log: PostgresIntents) -> IntentLog:
    return log
