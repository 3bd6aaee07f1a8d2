"""What dropped generations and removed vectors leave behind: tables, intents, quarantine; gone when nobody holds them.

A transaction of its own for each: a resync that waits for Qdrant may hold a row or a table for a minute, and no
client shall wait for that. What cannot be had now is tried again later.
"""

import structlog

from service.errors import VecferryError
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection, Database

_log = structlog.get_logger(__name__)

_PATIENCE = "SET LOCAL lock_timeout = '200ms'"
_MOST = 100

# While the source has not heard of the end of a generation, its intents tell which pushes may still land there.
_LISTED = """
    SELECT generation FROM vecferry.leftovers AS l
    WHERE NOT EXISTS (
        SELECT 1 FROM vecferry.collection_intents AS w
        WHERE w.generation = l.generation AND w.behind = 'source'
    )
    ORDER BY generation LIMIT $1
"""
_LISTED_TABLES = "SELECT name FROM vecferry.leftover_tables ORDER BY name LIMIT $1"
_TAKEN_TABLE = """
    SELECT name FROM vecferry.leftover_tables WHERE name = $1 FOR UPDATE SKIP LOCKED
"""
_TAKEN = """
    SELECT vectors FROM vecferry.leftovers WHERE generation = $1 FOR UPDATE SKIP LOCKED
"""


async def clear(database: Database) -> None:
    """Remove what can be had; never waits long, never fails."""
    try:
        async with database.connection() as connection:
            generations = [row["generation"] for row in await connection.fetch(_LISTED, _MOST)]
            tables = [row["name"] for row in await connection.fetch(_LISTED_TABLES, _MOST)]
    except VecferryError as error:
        _log.info("leftovers_unreadable", reason=str(error))
        return
    for generation in generations:
        try:
            async with database.transaction() as connection:
                await _remove(connection, generation)
        except VecferryError as error:
            _log.info("leftovers_held", generation=generation, reason=str(error))
    for table in tables:
        try:
            async with database.transaction() as connection:
                await _remove_table(connection, table)
        except VecferryError as error:
            _log.info("leftovers_held", table=table, reason=str(error))


async def _remove(connection: Connection, generation: int) -> None:
    await connection.execute(_PATIENCE)
    vectors = await connection.fetchval(_TAKEN, generation)
    if vectors is None:
        return
    await connection.execute("DELETE FROM vecferry.intents WHERE generation = $1", generation)
    await catalog.drop_tables(connection, generation, vectors)
    # Behind the tables: whoever lists an id holds them.
    await connection.execute("DELETE FROM vecferry.quarantine WHERE generation = $1", generation)
    await connection.execute("DELETE FROM vecferry.leftovers WHERE generation = $1", generation)


async def _remove_table(connection: Connection, table: str) -> None:
    await connection.execute(_PATIENCE)
    if await connection.fetchval(_TAKEN_TABLE, table) is None:
        return
    await connection.execute(f"DROP TABLE IF EXISTS {table}")
    await connection.execute("DELETE FROM vecferry.leftover_tables WHERE name = $1", table)
