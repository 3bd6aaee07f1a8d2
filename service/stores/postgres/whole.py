"""The ``*`` intents in Postgres, and the two ways to settle them (R10).

Rule: whoever settles holds the collection's lock alone, from before it looks at the authority until the intent is gone;
pushes of points to the source hold it shared (``pushable``). The control row is locked only at the end, for a moment.
"""

from uuid import UUID

import asyncpg

from service.control.state import CollectionState
from service.errors import RequestError
from service.protocol.description import Description, TargetStep, step_on_target
from service.protocol.whole_log import (
    Anew,
    Describe,
    Ended,
    Impose,
    Refused,
    WholeIntent,
    WholeLog,
)
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres import aliases, catalog, control_rows, descriptions, leftovers
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.locks import Single, lock_single

_COLUMNS = "id, name, generation, behind, replaces, cause, vectors"

# An owner that was fenced has no row in instances and inserts nothing. What is already left to do in the source for a
# name stays in one hand: two owners could undo each other's work there.
_INSERT = """
    INSERT INTO vecferry.collection_intents
        (id, name, generation, owner, behind, replaces, cause, vectors)
    SELECT $1, $2, $3, coalesce((
        SELECT w.owner FROM vecferry.collection_intents AS w
        WHERE w.name = $2 AND w.behind = 'source' AND $5 = 'source' LIMIT 1
    ), $4), $5, $6, $7, $8
    WHERE EXISTS (SELECT 1 FROM vecferry.instances AS i WHERE i.id = $4)
    RETURNING id
"""

_ADOPT = f"""
    UPDATE vecferry.collection_intents SET owner = $1
    WHERE id IN (
        SELECT id FROM vecferry.collection_intents
        WHERE owner <> $1 AND owner NOT IN (SELECT id FROM vecferry.instances)
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING {_COLUMNS}
"""

# Only this one: who takes back another holds the revision's row, and must not wait until the source has answered us.
_HOLD_ONE = """
    SELECT true FROM vecferry.collection_intents
    WHERE id = $1 AND owner = $2 AND behind = 'target' FOR UPDATE
"""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))"
_LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, $2))"
_SALT = 0x76656366  # apart from the locks of ids

_ATTEMPTS = """
    SELECT EXISTS (
        SELECT 1 FROM vecferry.intents
        WHERE generation = ANY ($1::bigint[]) AND attempt_by IS NOT NULL AND behind = 'source'
    )
"""


class PostgresWhole:
    """``WholeLog`` on the target's database; what clients wait for goes over ``reserved``."""

    def __init__(self, database: Database, reserved: Database | None = None) -> None:
        self._database = database
        self._reserved = reserved or database

    async def intend(
        self, intent: WholeIntent, before: CollectionState, *, owner: UUID
    ) -> Refused | None:
        """Commit an intent if the control row is as ``before`` says and nobody makes or drops the collection."""
        async with self._reserved.transaction() as connection:
            # Changes of control rows come one after the other, also of a collection that has no row yet.
            await connection.execute("SELECT value FROM vecferry.revision FOR UPDATE")
            row = await control_rows.locked(connection, intent.name)
            if not _is_as(row, before):
                return Refused.STALE
            if row is not None and row["frozen"]:
                return Refused.BUSY
            if await _excluded(connection, intent):
                return Refused.BUSY
            return None if await insert(connection, intent, owner=owner) else Refused.STALE

    async def is_busy(self, name: str) -> bool:
        """Say whether the name is being made or dropped while the source is right."""
        async with self._reserved.connection() as connection:
            return await control_rows.is_busy(connection, name)

    async def hold(self, intent: WholeIntent, seconds: float) -> int | None:
        """Freeze the collection's writes for the intent, or for longer; ``None`` when others hold them."""
        async with self._reserved.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            row = await control_rows.locked(connection, intent.name)
            if row is not None and row["frozen"] and row["frozen_by"] != intent.id:
                return None
            await connection.execute(
                "UPDATE vecferry.control SET frozen_by = $2,"
                " frozen_until = now() + make_interval(secs => $3) WHERE name = $1",
                intent.name,
                intent.id,
                seconds,
            )
        return revision

    async def forget(self, intent: WholeIntent) -> None:
        """Take back an intent whose change never reached a store, and let the writes go on."""
        async with self._reserved.transaction() as connection:
            await control_rows.next_revision(connection)
            await _thaw(connection, intent)
            await _delete(connection, [intent.id])

    async def open_intents(self, *, owner: UUID, limit: int) -> list[WholeIntent]:
        """Return the owner's intents, oldest first."""
        async with self._reserved.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM vecferry.collection_intents WHERE owner = $1"
                " ORDER BY created_at LIMIT $2",
                owner,
                limit,
            )
        return [_intent(row) for row in rows]

    async def adopt(self, *, owner: UUID, limit: int) -> list[WholeIntent]:
        """Take over the intents of instances that are no longer registered."""
        async with self._reserved.transaction() as connection:
            return [_intent(row) for row in await connection.fetch(_ADOPT, owner, limit)]

    async def settle_target(
        self, intent: WholeIntent, describe: Describe, *, owner: UUID, is_made: bool
    ) -> Ended:
        """Make the target what the source says and delete the intent, in one transaction."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK, intent.name, _SALT)
            if not await connection.fetchval(_HOLD_ONE, intent.id, owner):
                return Ended.GONE
            found = await describe()
            await control_rows.next_revision(connection)
            row = await control_rows.locked(connection, intent.name)
            if row is not None and not _may_follow(Stage(row["stage"])):
                await _delete(connection, [intent.id])
                return Ended.GONE
            held_now = await descriptions.read(connection, intent.name)
            step = step_on_target(held_now, found, is_made=is_made)
            gives_up = step in {TargetStep.RETIRE, TargetStep.REPLACE}
            if gives_up and not _is_held_by(row, intent):
                return Ended.UNHELD
            await _follow(connection, intent, step, found, is_made=is_made)
            await _thaw(connection, intent)
            await _delete(connection, [intent.id])
        await leftovers.clear(self._database)
        return Ended.DONE

    async def settle_source(
        self, name: str, impose: Impose, *, owner: UUID, ignore_attempts: bool
    ) -> Ended:
        """Make the source what the target says and delete all that it lacked of the name, in one transaction."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK, name, _SALT)
            held = await _held(connection, name, owner)
            if not held:
                return Ended.GONE
            given_up = [row["generation"] for row in held.values() if row["replaces"]]
            if not ignore_attempts and await connection.fetchval(_ATTEMPTS, given_up):
                return Ended.ATTEMPTED
            # An alias that moves is of two collections: what is read of one must not undo what was done for the other.
            await lock_single(connection, Single.ALIASES_OF_SOURCE)
            vectors = frozenset(each for row in held.values() for each in row["vectors"])
            anew = Anew(bool(given_up), vectors)
            await impose(await descriptions.read(connection, name), anew)
            await _delete(connection, list(held))
        await leftovers.clear(self._database)
        return Ended.DONE

    async def failed(self, intent: WholeIntent, error: str) -> None:
        """Note in the ledger that a store refused it."""
        async with self._reserved.connection() as connection:
            await connection.execute(
                "UPDATE vecferry.collection_intents"
                " SET failures = failures + 1, error = $2, failed_at = now() WHERE id = $1",
                intent.id,
                error,
            )

    async def clear_leftovers(self) -> None:
        """Drop what is left of dropped generations, as far as nobody holds it."""
        await leftovers.clear(self._database)


async def insert(connection: Connection, intent: WholeIntent, *, owner: UUID) -> bool:
    """Insert a ``*`` intent on a connection of the caller's; false when the owner was fenced."""
    taken = await connection.fetchval(
        _INSERT,
        intent.id,
        intent.name,
        intent.generation,
        owner,
        intent.behind,
        intent.replaces,
        intent.cause,
        list(intent.vectors),
    )
    return taken is not None


async def hold_shared(connection: Connection, name: str) -> None:
    """Let no change of the collection be settled until the transaction ends."""
    await connection.execute(_LOCK_SHARED, name, _SALT)


async def pushable(connection: Connection, generation: int) -> bool:
    """Say whether points may be pushed to the source; if so, no change of the collection begins there meanwhile.

    While one is due there, the source may hold another collection under the name, or other vectors.
    """
    name = await connection.fetchval(
        "SELECT name FROM vecferry.collections WHERE id = $1", generation
    )
    if name is None:
        return True  # nothing will be pushed
    await hold_shared(connection, name)
    due: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM vecferry.collection_intents"
        " WHERE name = $1 AND behind = 'source' AND (replaces OR vectors <> '{}'))",
        name,
    )
    return not due


async def _follow(
    connection: Connection,
    intent: WholeIntent,
    step: TargetStep,
    found: Description | None,
    *,
    is_made: bool,
) -> None:
    actor = f"{intent.cause}"
    if step in {TargetStep.RETIRE, TargetStep.REPLACE}:
        await control_rows.retire(connection, intent.name, actor)
    if found is None:
        return
    match step:
        case TargetStep.MAKE | TargetStep.REPLACE:
            await _make(connection, intent.name, found, actor, is_complete=is_made)
        case TargetStep.DESCRIBE:
            tables = await catalog.get_for_update(connection, intent.name)
            await descriptions.write(connection, tables, found)
            await aliases.copy(connection, tables.id, found.aliases)
        case TargetStep.NOTHING | TargetStep.RETIRE:
            return


async def _make(
    connection: Connection, name: str, found: Description, actor: str, *, is_complete: bool
) -> None:
    try:
        catalog.refuse_unsupported(found.config)
    except RequestError as error:
        await control_rows.keep_off(connection, name, f"{actor}: {error}")
        return
    tables = await control_rows.start(
        connection, name, found.config, Stage.DUALWRITE, actor, is_complete=is_complete
    )
    await catalog.describe(connection, tables.id, found.payload_schema)
    await aliases.copy(connection, tables.id, found.aliases)


async def _excluded(connection: Connection, intent: WholeIntent) -> bool:
    """Say whether a change of the source's must wait: who makes or drops is alone, the others are among themselves."""
    excluded: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM vecferry.collection_intents"
        " WHERE name = $1 AND (replaces OR $2))",
        intent.name,
        intent.replaces,
    )
    return excluded


async def _held(connection: Connection, name: str, owner: UUID) -> dict[UUID, asyncpg.Record]:
    """Lock all that the source lacks of a name and the owner has to settle."""
    rows = await connection.fetch(
        "SELECT id, generation, replaces, vectors FROM vecferry.collection_intents"
        " WHERE name = $1 AND behind = 'source' AND owner = $2 ORDER BY id FOR UPDATE",
        name,
        owner,
    )
    return {row["id"]: row for row in rows}


async def _thaw(connection: Connection, intent: WholeIntent) -> None:
    await connection.execute(
        "UPDATE vecferry.control SET frozen_by = NULL, frozen_until = NULL"
        " WHERE name = $1 AND frozen_by = $2",
        intent.name,
        intent.id,
    )


async def _delete(connection: Connection, intents: list[UUID]) -> None:
    await connection.execute(
        "DELETE FROM vecferry.collection_intents WHERE id = ANY ($1::uuid[])", intents
    )


def _is_as(row: asyncpg.Record | None, before: CollectionState) -> bool:
    now = (None, 0) if row is None else (row["generation"], row["epoch"])
    return now == (before.generation, before.epoch)


def _is_held_by(row: asyncpg.Record | None, intent: WholeIntent) -> bool:
    if row is None or row["generation"] is None:
        return True  # no write can be under way
    # Whatever its deadline says: while it stands in the row nobody writes (see control.py).
    return bool(row["frozen_by"] == intent.id)


def _may_follow(stage: Stage) -> bool:
    return mirrors(stage) and authority(stage) is Side.SOURCE


def _intent(row: asyncpg.Record) -> WholeIntent:
    return WholeIntent(
        id=row["id"],
        name=row["name"],
        generation=row["generation"],
        behind=Side(row["behind"]),
        replaces=row["replaces"],
        cause=row["cause"],
        vectors=tuple(row["vectors"]),
    )


def _proves_port(log: PostgresWhole) -> WholeLog:
    return log
