"""Changes of whole collections while Postgres is right: catalogue, control row and ``*`` intent in one transaction.

A new generation and what the source lacks of it are committed together, so that no point of it is pushed to the source
before the collection there is the new one.
"""

from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg

from service.errors import CollectionExists, StaleEpoch
from service.model.qdrant import CreateCollection
from service.protocol.description import Description
from service.protocol.whole_log import Change, TargetCollections, WholeIntent
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres import catalog, control_rows, leftovers, whole
from service.stores.postgres.database import Connection, Database


class PgCollections:
    """``TargetCollections`` on the managed tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, config: CreateCollection, *, owner: UUID) -> None:
        """Make an empty collection, complete from its first point."""
        async with self._database.transaction() as connection:
            await control_rows.next_revision(connection)
            row = await _right(connection, name)
            if await catalog.exists(connection, name):
                raise CollectionExists(name)
            stage = Stage.COMPLETE if row is None else Stage(row["stage"])
            tables = await control_rows.start(
                connection, name, config, stage, "create collection", is_complete=True
            )
            await _owe(connection, stage, _made(name, tables.id, "create"), owner)

    async def drop(self, name: str, *, owner: UUID) -> bool:
        """Drop a collection; its name keeps its stage."""
        async with self._database.transaction() as connection:
            await control_rows.next_revision(connection)
            row = await _right(connection, name)
            if row is None or row["generation"] is None:
                return False
            intent = _made(name, row["generation"], "delete")
            await _owe(connection, Stage(row["stage"]), intent, owner)
            await control_rows.retire(connection, name, "delete collection")
        await leftovers.clear(self._database)
        return True

    async def change(self, name: str, change: Change, *, cause: str, owner: UUID) -> None:
        """Change the description."""
        async with self._database.transaction() as connection:
            row = await _right(connection, name)
            tables = await catalog.get_for_update(connection, name)
            before = Description(tables.config, tables.payload_schema)
            after = change(before)
            if after == before:
                return
            await catalog.update(connection, tables.id, after.config)
            await catalog.describe(connection, tables.id, after.payload_schema)
            if row is not None:
                intent = replace(_made(name, tables.id, cause), replaces=False)
                await _owe(connection, Stage(row["stage"]), intent, owner)


async def _right(connection: Connection, name: str) -> asyncpg.Record | None:
    """Lock and return the control row. Raises ``StaleEpoch`` when the source is right, or a change is under way."""
    row = await control_rows.locked(connection, name)
    if row is not None and (row["frozen"] or authority(Stage(row["stage"])) is not Side.TARGET):
        message = "the collection's authority moved under the request"
        raise StaleEpoch(message)
    return row


def _made(name: str, generation: int, cause: str) -> WholeIntent:
    return WholeIntent(uuid4(), name, generation, Side.SOURCE, replaces=True, cause=cause)


async def _owe(connection: Connection, stage: Stage, intent: WholeIntent, owner: UUID) -> None:
    """Note that the source lacks the change, where it is mirrored. Raises ``StaleEpoch`` for a fenced owner."""
    if mirrors(stage) and not await whole.insert(connection, intent, owner=owner):
        message = "this instance was fenced"
        raise StaleEpoch(message)


def _proves_port(store: PgCollections) -> TargetCollections:
    return store
