"""The control table in Postgres: stages, freezes, registered instances, the audit log.

Rule 1: every change locks the collection's row ``FOR UPDATE`` first and looks at the ledger only in a later statement;
        intents take the row ``FOR SHARE``. So an intent is either seen by the change or refused by its epoch (R5).
Rule 2: a freeze is over when it was taken out of its row, not when its deadline has passed: nobody writes as if it had
        ended while whoever ordered it is about to publish.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from service.control.ports import ControlStore, Waiting
from service.control.state import CollectionState
from service.errors import StageError
from service.model.qdrant import CreateCollection
from service.stages import Stage
from service.stores.postgres import catalog, control_rows, leftovers, quarantine
from service.stores.postgres.database import Database

_ROWS = """
    SELECT name, stage, generation, percent, epoch, backfilled,
           frozen_by IS NOT NULL AS frozen,
           coalesce(frozen_until <= clock_timestamp(), false) AS is_overdue,
           ARRAY(SELECT a.name FROM vecferry.aliases AS a WHERE a.collection = generation) AS aliases
    FROM vecferry.control
    ORDER BY name
"""

# A row that somebody holds is being published, or is looked at again in a moment.
_END_OVERDUE = """
    UPDATE vecferry.control SET frozen_by = NULL, frozen_until = NULL
    WHERE name IN (
        SELECT name FROM vecferry.control WHERE frozen_until <= clock_timestamp()
        ORDER BY name
        FOR UPDATE SKIP LOCKED
    )
"""

_SOON = "SET LOCAL idle_in_transaction_session_timeout = '5s'"


class PostgresControl:
    """``ControlStore`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        """Return the number of the newest change."""
        async with self._database.connection() as connection:
            return control_rows.number(
                await connection.fetchval("SELECT value FROM vecferry.revision")
            )

    async def load(self) -> tuple[int, Sequence[CollectionState]]:
        """Return the newest revision and all rows, as of one moment; freezes past their deadline are ended first."""
        async with self._database.connection() as connection:
            # The revision first: rows that change in between are newer than it says and are read again.
            revision = control_rows.number(
                await connection.fetchval("SELECT value FROM vecferry.revision")
            )
            rows = await connection.fetch(_ROWS)
            if any(row["is_overdue"] for row in rows):
                await connection.execute(_END_OVERDUE)
                rows = await connection.fetch(_ROWS)
        return revision, [control_rows.state(row) for row in rows]

    async def register(self, instance: UUID) -> None:
        """Announce an instance; from now on stage changes wait for it."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO vecferry.instances (id) VALUES ($1) ON CONFLICT DO NOTHING", instance
            )

    async def confirm(
        self, instance: UUID, revision: int, *, client_p99_ms: float | None = None
    ) -> bool:
        """Record a heartbeat and the confirmed revision; false when the instance was fenced."""
        async with self._database.connection() as connection:
            status: str = await connection.execute(
                "UPDATE vecferry.instances SET heartbeat_at = now(), revision = $2, client_p99_ms = $3"
                " WHERE id = $1",
                instance,
                revision,
                client_p99_ms,
            )
        return status == "UPDATE 1"

    async def silences(self) -> Mapping[UUID, float]:
        """Return for every registered instance how many seconds ago it was last heard."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, extract(epoch FROM now() - heartbeat_at)::float8 AS seconds"
                " FROM vecferry.instances"
            )
        return {row["id"]: row["seconds"] for row in rows}

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
            revision = await control_rows.next_revision(connection)
            if before is not None:
                await control_rows.unchanged(connection, before)
            await control_rows.refuse_when_right(connection, name)
            await control_rows.refuse_when_busy(connection, name)
            await catalog.unlink(connection, name)
            await control_rows.start(
                connection, name, config, Stage.DUALWRITE, actor, is_complete=is_new
            )
        await leftovers.clear(self._database)
        return revision

    async def adopt_target(self, name: str, config: CreateCollection, *, actor: str) -> int:
        """Make target tables for a new collection in stage ``complete``. Raises ``CollectionExists``."""
        async with self._database.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            await control_rows.start(
                connection, name, config, Stage.COMPLETE, actor, is_complete=True
            )
        return revision

    async def keep_off(self, name: str, *, actor: str) -> int:
        """Give a collection that cannot be mirrored a row in stage ``off``."""
        async with self._database.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            await control_rows.keep_off(connection, name, actor)
        return revision

    async def publish(
        self,
        before: CollectionState,
        stage: Stage,
        percent: int,
        *,
        actor: str,
        token: UUID | None,
        moves: bool = True,
    ) -> int:
        """Enter a stage if nothing changed meanwhile. Raises ``StageError``."""
        async with self._database.transaction() as connection:
            # Should we stand still in here, the collection's writes wait for the end of this transaction.
            await connection.execute(_SOON)
            revision = await control_rows.next_revision(connection)
            await control_rows.lock(connection, before, token)
            if (
                token is not None
                and moves
                and (
                    left := await control_rows.unsettled(connection, before.generation, before.name)
                )
            ):
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
            await control_rows.audit(
                connection, before.name, before.stage, stage, percent, epoch, actor
            )
        return revision

    async def freeze(self, before: CollectionState, token: UUID, seconds: float) -> int:
        """Hold new writes of the collection; raises ``StageError`` when another change holds them."""
        async with self._database.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            await control_rows.lock(connection, before, None)
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
            revision = await control_rows.next_revision(connection)
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
            revision = await control_rows.next_revision(connection)
            await control_rows.lock(connection, before, None)
            epoch = await connection.fetchval(
                "UPDATE vecferry.control SET stage = 'off', generation = NULL, backfilled = false,"
                " percent = 100, epoch = epoch + 1, frozen_until = NULL, frozen_by = NULL,"
                " changed_at = now() WHERE name = $1 RETURNING epoch",
                before.name,
            )
            await control_rows.audit(
                connection, before.name, before.stage, Stage.OFF, 100, epoch, actor
            )
            # The source keeps what it has: nothing is behind any more.
            await connection.execute(
                "DELETE FROM vecferry.collection_intents WHERE name = $1", before.name
            )
        return revision

    async def drop_generation(self, generation: int) -> None:
        """Drop a generation's tables and its intents."""
        async with self._database.transaction() as connection:
            name = await connection.fetchval(
                "SELECT name FROM vecferry.collections WHERE id = $1", generation
            )
            if name is not None:
                await catalog.unlink(connection, name)
        await leftovers.clear(self._database)

    async def retire(self, name: str, *, actor: str) -> int:
        """Drop the tables and intents of a deleted collection; its name keeps what a new one shall be."""
        async with self._database.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            await control_rows.retire(connection, name, actor)
        await leftovers.clear(self._database)
        return revision

    async def mark_backfilled(self, name: str, generation: int) -> int:
        """Record that the target's copy is complete."""
        async with self._database.transaction() as connection:
            revision = await control_rows.next_revision(connection)
            await connection.execute(
                "UPDATE vecferry.control SET backfilled = true WHERE name = $1 AND generation = $2",
                name,
                generation,
            )
        return revision

    async def touch(self) -> int:
        """Make every instance reload what hangs on the revision."""
        async with self._database.transaction() as connection:
            return await control_rows.next_revision(connection)

    async def stuck_intents(self, generation: int, *, older_than_seconds: float) -> int:
        """Return how many intents have been unsettled for so long."""
        async with self._database.connection() as connection:
            return control_rows.number(
                await connection.fetchval(
                    "SELECT count(*) FROM vecferry.intents WHERE generation = $1"
                    " AND created_at < now() - make_interval(secs => $2)",
                    generation,
                    older_than_seconds,
                )
            )

    async def quarantined(self, generation: int) -> int:
        """Return how many points of a generation the target cannot hold and nobody has waived."""
        async with self._database.connection() as connection:
            return control_rows.number(await connection.fetchval(quarantine.BLOCKING, generation))

    async def ledger_size(self, generation: int) -> int:
        """Return the number of unsettled intents of a generation, those of the whole collection included."""
        async with self._database.connection() as connection:
            return await control_rows.unsettled(connection, generation, None)


def _proves_port(control: PostgresControl) -> ControlStore:
    return control
