"""Writes around the proxy, allowed only while nobody mirrors the collection."""

from collections.abc import Sequence

from service.stages import Stage, check_alone
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database

_STAGE = "SELECT stage FROM vecferry.control WHERE name = $1"


async def allow(database: Database, name: str) -> None:
    """Raise ``StageError`` when a collection of this name is mirrored."""
    async with database.connection() as connection:
        _check(name, await connection.fetchval(_STAGE, name))


async def refuse_mirrored(
    connection: Connection,
    tables: CollectionTables,
    keys: Sequence[bytes],  # noqa: ARG001 - a write hook
) -> None:
    """Raise ``StageError`` as a write hook; the stage stays what it is until the write has ended."""
    _check(tables.name, await connection.fetchval(f"{_STAGE} FOR SHARE", tables.name))


def _check(name: str, stage: str | None) -> None:
    if stage is not None:
        check_alone(name, Stage(stage))
