"""The control table in Postgres: stages, freezes, registered instances, the audit log.

Rule: every change locks the collection's row ``FOR UPDATE`` first and looks at the ledger only in a later statement;
intents take the row ``FOR SHARE``. So an intent is either seen by the change or refused by its epoch (R5).
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import structlog

from service.control.ports import ControlStore, Waiting
from service.control.state import CollectionState
from service.errors import StageError, TargetUnavailable
from service.model.qdrant import CreateCollection
from service.stages import Side, Stage, authority
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection, Database

_log = structlog.get_logger(__name__)

_ROWS = """
    SELECT name, stage, generation, percent, epoch, backfilled,
           coalesce(frozen_until > now(), false) AS frozen
    FROM vecferry.control
    ORDER BY name
"""

_PUT = """
    INSERT INTO vecferry.control (name, generation, stage, backfilled)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET
        generation = excluded.generation, stage = excluded.stage, backfilled = excluded.backfilled,
        percent = 100, epoch = vecferry.control.epoch + 1, frozen_until = NULL, frozen_by = NULL,
        changed_at = now()
    RETURNING epoch
"""

_RETIRE_ATTEMPTS = 3
_RETIRE_PAUSE_SECONDS = 0.2

# Where the source was mirrored, a new collection of the name is mirrored from its first point; where
# it was left behind, its old copy must not answer again.
_RETIRE = """
    UPDATE vecferry.control SET
        stage = CASE stage WHEN 'off' THEN 'off' WHEN 'complete' THEN 'complete' ELSE 'dualwrite' END,
        generation = NULL, backfilled = false, percent = 100, epoch = epoch + 1,
        frozen_until = NULL, frozen_by = NULL, changed_at = now()
    WHERE name = $1
    RETURNING stage, epoch
"""

_AUDIT = """
    INSERT INTO vecferry.audit (collection, stage_before, stage, percent, epoch, actor)
    VALUES ($1, $2, $3, $4, $5, $6)
"""


class PostgresControl:
    """``ControlStore`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        """Return the number of the newest change."""
        async with self._database.connection() as connection:
            return _number(await connection.fetchval("SELECT value FROM vecferry.revision"))

    async def load(self) -> tuple[int, Sequence[CollectionState]]:
        """Return the newest revision and all rows, as of one moment."""
        async with self._database.connection() as connection:
            # The revision first: rows that change in between are newer than it says and are read again.
            revision = _number(await connection.fetchval("SELECT value FROM vecferry.revision"))
            rows = await connection.fetch(_ROWS)
        return revision, [_state(row) for row in rows]

    async def register(self, instance: UUID) -> None:
        """Announce an instance; from now on stage changes wait for it."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO vecferry.instances (id) VALUES ($1) ON CONFLICT DO NOTHING", instance
            )

    async def confirm(self, instance: UUID, revision: int) -> bool:
        """Record a heartbeat and the confirmed revision; false when the instance was fenced."""
        async with self._database.connection() as connection:
            status: str = await connection.execute(
                "UPDATE vecferry.instances SET heartbeat_at = now(), revision = $2 WHERE id = $1",
                instance,
                revision,
            )
        return status == "UPDATE 1"

    async def leave(self, instance: UUID) -> None:
        """Take an instance off the list; whatever intents it leaves behind may be adopted at once."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM vecferry.instances WHERE id = $1", instance)

    async def waiting_for(self, revision: int, *, stale_after_seconds: float) -> list[Waiting]:
        """Return live instances that have not confirmed the revision."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, revision FROM vecferry.instances"
                " WHERE revision < $1 AND heartbeat_at > now() - make_interval(secs => $2)",
                revision,
                stale_after_seconds,
            )
        return [Waiting(row["id"], row["revision"]) for row in rows]

    async def arm(
        self,
        name: str,
        config: CreateCollection,
        *,
        actor: str,
        is_new: bool,
        before: CollectionState | None = None,
    ) -> int:
        """Make empty target tables and enter ``dualwrite``. Raises ``StageError`` when that would lose anything."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            if before is not None:
                await _unchanged(connection, before)
            await _refuse_when_right(connection, name)
            await _drop_target(connection, name)
            await _start(connection, name, config, Stage.DUALWRITE, actor, is_complete=is_new)
        return revision

    async def adopt_target(self, name: str, config: CreateCollection, *, actor: str) -> int:
        """Make target tables for a new collection in stage ``complete``. Raises ``CollectionExists``."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await _start(connection, name, config, Stage.COMPLETE, actor, is_complete=True)
        return revision

    async def keep_off(self, name: str, *, actor: str) -> int:
        """Give a collection that cannot be mirrored a row in stage ``off``."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            epoch = await connection.fetchval(_PUT, name, None, Stage.OFF, False)  # noqa: FBT003 - a column
            await connection.execute(_AUDIT, name, None, Stage.OFF, 100, epoch, actor)
        return revision

    async def publish(
        self, before: CollectionState, stage: Stage, percent: int, *, actor: str, token: UUID | None
    ) -> int:
        """Enter a stage if nothing changed meanwhile. Raises ``StageError``."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await _lock(connection, before, token)
            if token is not None and (left := await _ledger_size(connection, before.generation)):
                message = f"`{before.name}` has {left} unsettled intents under the freeze"
                raise StageError(message)
            epoch = await connection.fetchval(
                "UPDATE vecferry.control SET stage = $2, percent = $3, epoch = epoch + 1,"
                " frozen_until = NULL, frozen_by = NULL, changed_at = now()"
                " WHERE name = $1 RETURNING epoch",
                before.name,
                stage,
                percent,
            )
            await connection.execute(
                _AUDIT, before.name, before.stage, stage, percent, epoch, actor
            )
        return revision

    async def freeze(self, before: CollectionState, token: UUID, seconds: float) -> int:
        """Hold new writes of the collection; raises ``StageError`` when another change holds them."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await _lock(connection, before, None)
            await connection.execute(
                "UPDATE vecferry.control SET frozen_by = $2,"
                " frozen_until = now() + make_interval(secs => $3) WHERE name = $1",
                before.name,
                token,
                seconds,
            )
        return revision

    async def thaw(self, name: str, token: UUID) -> int:
        """End a freeze without a change; nothing happens when it is not this token's freeze."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await connection.execute(
                "UPDATE vecferry.control SET frozen_by = NULL, frozen_until = NULL"
                " WHERE name = $1 AND frozen_by = $2",
                name,
                token,
            )
        return revision

    async def abandon(self, before: CollectionState, *, actor: str) -> int:
        """Enter ``off``; the generation's tables stay until ``drop_generation``."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await _lock(connection, before, None)
            epoch = await connection.fetchval(
                "UPDATE vecferry.control SET stage = 'off', generation = NULL, backfilled = false,"
                " percent = 100, epoch = epoch + 1, changed_at = now()"
                " WHERE name = $1 RETURNING epoch",
                before.name,
            )
            await connection.execute(
                _AUDIT, before.name, before.stage, Stage.OFF, 100, epoch, actor
            )
        return revision

    async def drop_generation(self, generation: int) -> None:
        """Drop a generation's tables and its intents."""
        async with self._database.transaction() as connection:
            name = await connection.fetchval(
                "SELECT name FROM vecferry.collections WHERE id = $1", generation
            )
            if name is not None:
                await _drop_target(connection, name)

    async def retire(self, name: str, *, actor: str) -> int:
        """Drop the tables and intents of a deleted collection; its name keeps what a new one shall be."""
        for _ in range(_RETIRE_ATTEMPTS):
            try:
                return await self._retire(name, actor)
            except TargetUnavailable as error:
                # An index build that holds the tables may have made us the victim of a deadlock.
                _log.info("retire_repeated", collection=name, reason=str(error))
                await asyncio.sleep(_RETIRE_PAUSE_SECONDS)
        return await self._retire(name, actor)

    async def _retire(self, name: str, actor: str) -> int:
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            row = await connection.fetchrow(_RETIRE, name)
            if row is not None:
                await connection.execute(
                    _AUDIT, name, None, row["stage"], 100, row["epoch"], f"{actor}: deleted"
                )
            await _drop_target(connection, name)
        return revision

    async def mark_backfilled(self, name: str, generation: int) -> int:
        """Record that the target's copy is complete."""
        async with self._database.transaction() as connection:
            revision = await _next_revision(connection)
            await connection.execute(
                "UPDATE vecferry.control SET backfilled = true WHERE name = $1 AND generation = $2",
                name,
                generation,
            )
        return revision

    async def touch(self) -> int:
        """Make every instance reload what hangs on the revision."""
        async with self._database.transaction() as connection:
            return await _next_revision(connection)

    async def stuck_intents(self, generation: int, *, older_than_seconds: float) -> int:
        """Return how many intents have been unsettled for so long."""
        async with self._database.connection() as connection:
            return _number(
                await connection.fetchval(
                    "SELECT count(*) FROM vecferry.intents WHERE generation = $1"
                    " AND created_at < now() - make_interval(secs => $2)",
                    generation,
                    older_than_seconds,
                )
            )

    async def ledger_size(self, generation: int) -> int:
        """Return the number of unsettled intents of a generation."""
        async with self._database.connection() as connection:
            return await _ledger_size(connection, generation)


async def _next_revision(connection: Connection) -> int:
    """Take the next number; its row lock also puts control changes one after the other."""
    return _number(
        await connection.fetchval("UPDATE vecferry.revision SET value = value + 1 RETURNING value")
    )


async def _start(
    connection: Connection,
    name: str,
    config: CreateCollection,
    stage: Stage,
    actor: str,
    *,
    is_complete: bool,
) -> None:
    tables = await catalog.create(connection, name, config)
    epoch = await connection.fetchval(_PUT, name, tables.id, stage, is_complete)
    await connection.execute(_AUDIT, name, None, stage, 100, epoch, actor)


async def _refuse_when_right(connection: Connection, name: str) -> None:
    stage = await connection.fetchval(
        "SELECT stage FROM vecferry.control WHERE name = $1 FOR UPDATE", name
    )
    if stage is not None and authority(Stage(stage)) is Side.TARGET:
        message = f"`{name}` is in stage {stage}: its data in Postgres is the truth"
        raise StageError(message)


async def _lock(connection: Connection, before: CollectionState, token: UUID | None) -> None:
    row = await _unchanged(connection, before)
    if row is None:
        message = f"`{before.name}` is not known yet"
        raise StageError(message)
    if token is None and row["frozen"]:
        message = f"`{before.name}` is frozen by another stage change"
        raise StageError(message)
    if token is not None and not (row["frozen"] and row["frozen_by"] == token):
        message = f"the freeze of `{before.name}` passed its deadline"
        raise StageError(message)


async def _unchanged(connection: Connection, before: CollectionState) -> asyncpg.Record | None:
    """Lock and return the collection's row, ``None`` when there is and was none. Raises ``StageError``."""
    row = await connection.fetchrow(
        "SELECT generation, epoch, frozen_by, coalesce(frozen_until > now(), false) AS frozen"
        " FROM vecferry.control WHERE name = $1 FOR UPDATE",
        before.name,
    )
    # A collection that was dropped and made again has the first epoch once more, but another generation.
    now = (None, 0) if row is None else (row["generation"], row["epoch"])
    if now != (before.generation, before.epoch):
        message = f"`{before.name}` changed its stage meanwhile"
        raise StageError(message)
    return row


async def _ledger_size(connection: Connection, generation: int | None) -> int:
    return _number(
        await connection.fetchval(
            "SELECT count(*) FROM vecferry.intents WHERE generation = $1", generation
        )
    )


async def _drop_target(connection: Connection, name: str) -> None:
    await connection.execute(
        "DELETE FROM vecferry.intents WHERE generation ="
        " (SELECT id FROM vecferry.collections WHERE name = $1)",
        name,
    )
    await catalog.drop(connection, name)


def _state(row: asyncpg.Record) -> CollectionState:
    return CollectionState(
        name=row["name"],
        stage=Stage(row["stage"]),
        generation=row["generation"],
        percent=row["percent"],
        epoch=row["epoch"],
        backfilled=row["backfilled"],
        frozen=row["frozen"],
    )


def _number(value: object) -> int:
    if not isinstance(value, int):
        message = f"expected a number, got {value!r}"
        raise TypeError(message)
    return value


def _proves_port(control: PostgresControl) -> ControlStore:
    return control
