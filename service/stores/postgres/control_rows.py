"""Statements on the control table that several kinds of change share; each runs in its caller's transaction.

Order of locks: the revision's row, the control row, the ``*`` intents, the catalogue's row; tables last (see
``leftovers.py``). Whoever changes control rows begins with ``next_revision``, which puts changes one after the other.
"""

from uuid import UUID

import asyncpg

from service.control.state import CollectionState
from service.errors import StageError
from service.model.qdrant import CreateCollection
from service.stages import Side, Stage, authority
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection

_PUT = """
    INSERT INTO vecferry.control (name, generation, stage, backfilled)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET
        generation = excluded.generation, stage = excluded.stage, backfilled = excluded.backfilled,
        percent = 100, epoch = vecferry.control.epoch + 1, frozen_until = NULL, frozen_by = NULL,
        changed_at = now()
    RETURNING epoch
"""

_RETIRE = """
    UPDATE vecferry.control SET
        stage = CASE WHEN stage IN ('shadow', 'ramp') THEN 'dualwrite' ELSE stage END,
        generation = NULL, backfilled = false, percent = 100, epoch = epoch + 1,
        frozen_until = NULL, frozen_by = NULL, changed_at = now()
    WHERE name = $1
    RETURNING stage, epoch
"""

_AUDIT = """
    INSERT INTO vecferry.audit (collection, stage_before, stage, percent, epoch, actor)
    VALUES ($1, $2, $3, $4, $5, $6)
"""

_LOCKED = """
    SELECT name, stage, generation, percent, epoch, backfilled, frozen_by,
           coalesce(frozen_until > now(), false) AS frozen
    FROM vecferry.control WHERE name = $1 FOR UPDATE
"""

_BUSY = """
    SELECT EXISTS (
        SELECT 1 FROM vecferry.collection_intents
        WHERE name = $1 AND replaces AND behind = 'target'
    )
"""

_UNSETTLED = """
    SELECT (SELECT count(*) FROM vecferry.intents WHERE generation = $1)
         + (SELECT count(*) FROM vecferry.collection_intents AS w
            WHERE w.generation = $1 OR w.name = $2
               OR w.name = (SELECT c.name FROM vecferry.collections AS c WHERE c.id = $1))
"""


async def next_revision(connection: Connection) -> int:
    """Take the next number; its row lock also puts control changes one after the other."""
    return number(
        await connection.fetchval("UPDATE vecferry.revision SET value = value + 1 RETURNING value")
    )


async def locked(connection: Connection, name: str) -> asyncpg.Record | None:
    """Lock and return a collection's row."""
    return await connection.fetchrow(_LOCKED, name) if catalog.may_exist(name) else None


async def audit(  # noqa: PLR0913, PLR0917 - the columns
    connection: Connection,
    name: str,
    before: Stage | None,
    stage: Stage,
    percent: int,
    epoch: int,
    actor: str,
) -> None:
    """Write a line of the audit log."""
    await connection.execute(_AUDIT, name, before, stage, percent, epoch, actor)


async def put(
    connection: Connection, name: str, generation: int | None, stage: Stage, *, backfilled: bool
) -> int:
    """Store a row, new or not, under its next epoch; return the epoch."""
    return number(await connection.fetchval(_PUT, name, generation, stage, backfilled))


async def start(
    connection: Connection,
    name: str,
    config: CreateCollection,
    stage: Stage,
    actor: str,
    *,
    is_complete: bool,
) -> catalog.CollectionTables:
    """Make tables and enter a stage with them. Raises ``CollectionExists`` or ``Unsupported``."""
    tables = await catalog.create(connection, name, config)
    epoch = await put(connection, name, tables.id, stage, backfilled=is_complete)
    await audit(connection, name, None, stage, 100, epoch, actor)
    return tables


async def keep_off(connection: Connection, name: str, actor: str) -> None:
    """Enter ``off`` without tables."""
    epoch = await put(connection, name, None, Stage.OFF, backfilled=False)
    await audit(connection, name, None, Stage.OFF, 100, epoch, actor)


async def retire(connection: Connection, name: str, actor: str) -> None:
    """Give up a collection; its name keeps a stage.

    While the source was right a new one is mirrored from its first point (``dualwrite``); where Postgres was right, or
    alone, it stays so: a stale copy in the source must not answer again.
    """
    row = await connection.fetchrow(_RETIRE, name)
    if row is not None:
        await audit(
            connection, name, None, Stage(row["stage"]), 100, row["epoch"], f"{actor}: deleted"
        )
    await catalog.unlink(connection, name)


async def refuse_when_right(connection: Connection, name: str) -> None:
    """Raise ``StageError`` when the target's data is the truth."""
    stage = await connection.fetchval(
        "SELECT stage FROM vecferry.control WHERE name = $1 FOR UPDATE", name
    )
    if stage is not None and authority(Stage(stage)) is Side.TARGET:
        message = f"`{name}` is in stage {stage}: its data in Postgres is the truth"
        raise StageError(message)


async def refuse_when_busy(connection: Connection, name: str) -> None:
    """Raise ``StageError`` while the source's collection is being made or dropped."""
    if await is_busy(connection, name):
        message = f"`{name}` is being made or dropped"
        raise StageError(message)


async def is_busy(connection: Connection, name: str) -> bool:
    """Say whether the source's collection is being made or dropped."""
    busy: bool = await connection.fetchval(_BUSY, name)
    return busy


async def lock(connection: Connection, before: CollectionState, token: UUID | None) -> None:
    """Lock the row; raises ``StageError`` when it changed, or is frozen otherwise than by ``token``."""
    row = await unchanged(connection, before)
    if row is None:
        message = f"`{before.name}` is not known yet"
        raise StageError(message)
    if token is None and row["frozen"]:
        message = f"`{before.name}` is frozen by another stage change"
        raise StageError(message)
    if token is not None and not (row["frozen"] and row["frozen_by"] == token):
        message = f"the freeze of `{before.name}` passed its deadline"
        raise StageError(message)


async def unchanged(connection: Connection, before: CollectionState) -> asyncpg.Record | None:
    """Lock and return the collection's row, ``None`` when there is and was none. Raises ``StageError``."""
    row = await locked(connection, before.name)
    # A collection that was dropped and made again has the first epoch once more, but another generation.
    now = (None, 0) if row is None else (row["generation"], row["epoch"])
    if now != (before.generation, before.epoch):
        message = f"`{before.name}` changed its stage meanwhile"
        raise StageError(message)
    return row


async def unsettled(connection: Connection, generation: int | None, name: str | None) -> int:
    """Return the number of unsettled intents of a generation and, ``*`` intents, of its name."""
    return number(await connection.fetchval(_UNSETTLED, generation, name))


def state(row: asyncpg.Record) -> CollectionState:
    """Return a row as the control plane has it."""
    return CollectionState(
        name=row["name"],
        stage=Stage(row["stage"]),
        generation=row["generation"],
        percent=row["percent"],
        epoch=row["epoch"],
        backfilled=row["backfilled"],
        frozen=row["frozen"],
        aliases=frozenset(row["aliases"]),
    )


def number(value: object) -> int:
    """Return a column that is a number."""
    if not isinstance(value, int):
        message = f"expected a number, got {value!r}"
        raise TypeError(message)
    return value
