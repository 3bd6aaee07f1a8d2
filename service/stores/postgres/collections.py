"""Changes of whole collections while Postgres is right: catalogue, control row and ``*`` intent in one transaction.

A new generation and what the source lacks of it are committed together, so that no point of it is pushed to the source
before the collection there is the new one.
"""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg

from service.errors import CollectionExists, StaleEpoch
from service.model.qdrant import AliasOperations, CreateCollection
from service.protocol.description import vector_name_changes
from service.protocol.whole_log import Change, TargetCollections, WholeIntent
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres import (
    aliases,
    catalog,
    control_rows,
    descriptions,
    leftovers,
    rows,
    whole,
)
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
            await aliases.refuse_name(connection, name)
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

    async def change(self, name: str, change: Change, *, cause: str, owner: UUID) -> int:
        """Change the description and return the operation's number."""
        async with self._database.transaction() as connection:
            row = await _right(connection, name)
            tables = await catalog.get_for_update(connection, name)
            number = await rows.next_version(connection)
            before = await descriptions.of_tables(connection, tables)
            after = change(before)
            if after == before:
                return number
            touched = vector_name_changes(after.config, before.config)
            await descriptions.write(connection, tables, after)
            if row is not None:
                vectors = tuple(operation.name for operation in touched)
                intent = _described(name, tables.id, cause, vectors)
                await _owe(connection, Stage(row["stage"]), intent, owner)
        if touched:
            await leftovers.clear(self._database)
        return number

    async def change_aliases(self, actions: Sequence[AliasOperations], *, owner: UUID) -> None:
        """Carry out a list of alias actions, all or none."""
        async with self._database.transaction() as connection:
            # Every instance reads the aliases again with the revision.
            await control_rows.next_revision(connection)
            change = await aliases.planned(connection, actions)
            rights = {name: await _right(connection, name) for name in sorted(change.collections)}
            await aliases.carry_out(connection, change)
            for name, row in rights.items():
                if row is not None and row["generation"] is not None:
                    intent = _described(name, row["generation"], "aliases")
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


def _described(
    name: str, generation: int, cause: str, vectors: tuple[str, ...] = ()
) -> WholeIntent:
    return replace(_made(name, generation, cause), replaces=False, vectors=vectors)


async def _owe(connection: Connection, stage: Stage, intent: WholeIntent, owner: UUID) -> None:
    """Note that the source lacks the change, where it is mirrored. Raises ``StaleEpoch`` for a fenced owner."""
    if mirrors(stage) and not await whole.insert(connection, intent, owner=owner):
        message = "this instance was fenced"
        raise StaleEpoch(message)


def _proves_port(store: PgCollections) -> TargetCollections:
    return store
