"""The ledger in Postgres: intents, and the two resyncs that settle them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from service.model.ids import pack_keys, unpack_keys
from service.protocol.ledger import (
    Fetch,
    Intent,
    IntentLog,
    LedgerEntry,
    LedgerPage,
    Place,
    Push,
    Settled,
    Settlement,
)
from service.protocol.refusals import is_refusal
from service.stages import Side
from service.steps import Step, reached
from service.stores.postgres import reads, settling, writes
from service.stores.postgres.copying import Write, apart, copied, items_of, pushed, together
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.whole import pushable

_DEAD_AFTER = 5
_RETRY_SECONDS = 5
_LONGEST_RETRY_SECONDS = 300

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

# The same for a single one, as most are when few clients write: its statement runs a third shorter.
_INSERT_ONE = """
    WITH current AS (
        SELECT generation, epoch FROM vecferry.control WHERE generation = $2 FOR SHARE
    )
    INSERT INTO vecferry.intents (id, generation, epoch, owner, behind, owed, keys, cause)
    SELECT $1, generation, epoch, $8, $4, $5, $6, $7 FROM current
    WHERE epoch = $3 AND EXISTS (SELECT 1 FROM vecferry.instances AS i WHERE i.id = $8)
    RETURNING id
"""

# What was refused waits longer each time, and a dead letter until somebody calls for it; both on the database's clock.
_DUE = f"""
    NOT i.dead AND (i.failed_at IS NULL OR i.failed_at < now() - make_interval(
        secs => least({_LONGEST_RETRY_SECONDS}, {_RETRY_SECONDS} * 2 ^ greatest(i.failures - 1, 0))))
"""

_OPEN = f"""
    SELECT i.id, i.generation, c.name, i.behind, i.keys, i.attempt_by, i.created_at
    FROM vecferry.intents AS i JOIN vecferry.collections AS c ON c.id = i.generation
    WHERE i.owner = $1 AND (i.created_at, i.id) > ($2, $3) AND {_DUE}
    ORDER BY i.created_at, i.id
    LIMIT $4
"""

_FENCE = """
    DELETE FROM vecferry.instances
    WHERE id <> $1 AND heartbeat_at < now() - make_interval(secs => $2)
    RETURNING id
"""

# An owner without a row was fenced, or left in the middle of a write. What somebody holds is being settled. Whose write
# to the source may still land is kept with the intent: whoever reads it again must wait for that. And it is owed: other
# clients may have seen it at the source since.
_ADOPT = f"""
    WITH orphans AS (
        SELECT id FROM vecferry.intents AS i
        WHERE owner <> $1 AND owner NOT IN (SELECT id FROM vecferry.instances) AND {_DUE}
        ORDER BY created_at, id
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ), mine AS (
        UPDATE vecferry.intents SET owner = $1, owed = true,
            attempt_by = CASE behind WHEN 'target' THEN coalesce(attempt_by, owner) ELSE attempt_by END
        WHERE id IN (SELECT id FROM orphans)
        RETURNING id, generation, behind, keys, attempt_by, created_at
    )
    SELECT m.id, m.generation, c.name, m.behind, m.keys, m.attempt_by, m.created_at
    FROM mine AS m JOIN vecferry.collections AS c ON c.id = m.generation
    ORDER BY m.created_at, m.id
"""

# Waits for resyncs that are about to delete their intents: should they fail, these are owed.
OWE = """
    UPDATE vecferry.intents SET owed = true
    WHERE id IN (
        SELECT id FROM vecferry.intents
        WHERE generation = ANY ($1::bigint[]) AND behind = 'target' AND NOT owed
        ORDER BY id
        FOR UPDATE
    )
"""

_OWING = """
    SELECT EXISTS (
        SELECT 1 FROM vecferry.intents AS i
        WHERE i.generation = c.generation AND i.owed AND i.behind = 'target'
    )
    FROM vecferry.control AS c
    WHERE c.generation = $1 AND c.epoch = $2
"""


_BEGINNING = Place(datetime.min.replace(tzinfo=UTC), UUID(int=0))


class PostgresIntents:
    """``IntentLog`` on the target's database.

    Resyncs hold a connection for as long as Qdrant takes to answer; everything that a client waits for goes over
    ``reserved``, which they cannot exhaust (R14). After ``dead_after`` refusals an intent is a dead letter.
    """

    def __init__(
        self,
        database: Database,
        reserved: Database | None = None,
        *,
        dead_after: int = _DEAD_AFTER,
    ) -> None:
        self._database = database
        self._reserved = reserved or database
        self._dead_after = dead_after
        self._known = settling.KnownTables()

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Commit the intents whose epoch is current, in one statement; return those that were taken."""
        async with self._reserved.connection() as connection:
            return await insert(connection, intents, owner=owner)

    async def open_entries(self, *, owner: UUID, after: Place | None, limit: int) -> LedgerPage:
        """Return a page of the owner's intents in the order of age, without dead ones and refused ones not yet due."""
        after = after or _BEGINNING
        async with self._reserved.connection() as connection:
            rows = await connection.fetch(_OPEN, owner, after.created_at, after.id, limit)
        is_last = len(rows) < limit
        end = None if is_last else Place(rows[-1]["created_at"], rows[-1]["id"])
        return LedgerPage([_entry(row) for row in rows], end)

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        """Fence owners that were silent for so long and take over the oldest intents without a live owner."""
        async with self._reserved.transaction() as connection:
            await connection.fetch(_FENCE, owner, silent_seconds)
            return [_entry(row) for row in await connection.fetch(_ADOPT, owner, limit)]

    async def owe(self, generation: int) -> None:
        """Note that every write whose intent is there now may be known before it is settled."""
        async with self._reserved.connection() as connection:
            await connection.execute(OWE, [generation])

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        """Say whether an answered write may be missing; ``None`` when the epoch is not current."""
        async with self._reserved.connection() as connection:
            owing: bool | None = await connection.fetchval(_OWING, generation, epoch)
            return owing

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settlement:
        """Copy the source's present state of these ids to the target and delete the intents.

        Ids that Postgres refuses are set apart, and their intents narrowed to them.
        """
        try:
            return await self._copy(generation, keys, intents, fetch, together)
        except Exception as error:  # what nobody foresaw is set apart, too
            if not is_refusal(error):
                raise
        return await self._copy(generation, keys, intents, fetch, apart)

    async def _copy(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        fetch: Fetch,
        write: Write,
    ) -> Settlement:
        async with self._database.transaction() as connection:
            await writes.lock(connection, generation, keys)
            held = await settling.hold(connection, generation, keys, intents)
            tables = await settling.tables_if_right(
                connection, generation, Side.SOURCE, self._known
            )
            if isinstance(tables, Settled):
                return await settling.close(connection, tables, held)
            reached(Step.RESYNC_LOCKED)
            # Also without the intent, which somebody may have settled or recovered too early (R7): under the
            # ids' locks a copy to the target is older than any write of the new authority.
            bad, undecided = await copied(connection, tables, keys, fetch, write)
            await settling.unlist(connection, generation, held, _without(keys, bad, undecided))
            bad = await settling.enlist(connection, generation, bad)
            settlement = await settling.conclude(
                connection, held, bad, undecided, dead_after=self._dead_after
            )
            reached(Step.RESYNC_WRITTEN)
        reached(Step.RESYNC_COMMITTED)
        return settlement

    async def settle_source(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        *,
        owner: UUID,
    ) -> Settlement:
        """Copy the target's present state of these ids to the source and delete the intents.

        A write that commits while the copy is under way has an intent of its own and is copied after it. Without its
        intent nothing is pushed: the authority may have moved, and the push could undo a write there.
        """
        attempted = await self._attempt(generation, keys, intents, owner)
        if isinstance(attempted, Settlement):
            return attempted
        reached(Step.PUSH_ATTEMPTED)
        free = [each for each in intents if each not in attempted]
        settlement = await self._push(generation, keys, free, push, owner)
        reached(Step.PUSH_SETTLED)
        return replace(settlement, waiting=settlement.waiting | attempted)

    async def _attempt(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], owner: UUID
    ) -> Settlement | frozenset[UUID]:
        """Commit an attempt and return the intents that another instance's push pins (R8)."""
        async with self._database.transaction() as connection:
            # Locks of their own space: pushes to the source take turns, writers never wait for one.
            await writes.lock(connection, -generation, keys)
            held = await settling.hold(connection, generation, keys, intents, owner=owner)
            tables = await settling.tables_if_right(
                connection, generation, Side.TARGET, self._known
            )
            if isinstance(tables, Settled):
                return await settling.close(connection, tables, held)
            if not held.given:
                return Settlement(Settled.GONE)
            if not await pushable(connection, generation):
                return Settlement(Settled.DONE, waiting=frozenset(held.given))
            pinned = await settling.attempt(connection, generation, held, owner)
            return (
                Settlement(Settled.DONE, waiting=pinned) if pinned == held.given.keys() else pinned
            )

    async def _push(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        owner: UUID,
    ) -> Settlement:
        async with self._database.transaction() as connection:
            await writes.lock(connection, -generation, keys)
            held = await settling.hold(
                connection, generation, keys, intents, owner=owner, attempted=True
            )
            tables = await settling.tables_if_right(
                connection, generation, Side.TARGET, self._known
            )
            if isinstance(tables, Settled):
                return await settling.close(connection, tables, held)
            if not (wanted := held.among(keys)):
                return Settlement(Settled.GONE)
            if not await pushable(connection, generation):  # R10
                return Settlement(Settled.DONE, waiting=frozenset(held.given))
            points = await reads.whole_points(connection, tables, wanted)
            bad, undecided = await pushed(items_of(wanted, points), push)
            reached(Step.PUSHED)
            await settling.unlist(connection, generation, held, _without(wanted, bad, undecided))
            return await settling.conclude(
                connection, held, bad, undecided, dead_after=self._dead_after
            )


async def insert(connection: Connection, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
    """Insert intents, at least one, on a connection of the caller's, who decides about the transaction."""
    if len(intents) == 1:
        rows = await connection.fetch(_INSERT_ONE, *_columns(intents[0]), owner)
    else:
        columns = zip(*map(_columns, intents), strict=True)
        rows = await connection.fetch(_INSERT, *map(list, columns), owner)
    return {row["id"] for row in rows}


def _without(
    keys: Sequence[bytes], bad: Mapping[bytes, str], undecided: Sequence[bytes]
) -> set[bytes]:
    """Return the keys that were made equal."""
    return {*keys} - bad.keys() - {*undecided}


def _columns(intent: Intent) -> tuple[UUID, int, int, str, bool, bytes, str]:
    return (
        intent.id,
        intent.generation,
        intent.epoch,
        intent.behind,
        intent.owed,
        pack_keys(intent.keys),
        intent.cause,
    )


def _entry(row: asyncpg.Record) -> LedgerEntry:
    return LedgerEntry(
        id=row["id"],
        generation=row["generation"],
        collection=row["name"],
        behind=Side(row["behind"]),
        keys=tuple(unpack_keys(row["keys"])),
        attempt_by=row["attempt_by"],
    )


def _proves_port(log: PostgresIntents) -> IntentLog:
    return log
