"""What continuous verification asks of the target: random rows, and counts of a moment without writes."""

import random
from collections.abc import Sequence

from backfill.bypass import TargetCount, Watched, Witness
from backfill.continuous import Drawn
from service.protocol.ledger import HintStore
from service.stores.postgres import catalog, control_rows
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.rows import fetch
from service.translate.sql import Argument, sql

_BLOCKS = 4

_BLOCKS_OF = """
    SELECT pg_relation_size(to_regclass($1)) / current_setting('block_size')::bigint
"""

_STATE = "SELECT generation, epoch FROM vecferry.control WHERE name = $1"


class RandomRows:
    """``Drawn``: the points of a few random blocks of the table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keys(self, generation: int, count: int) -> Sequence[bytes]:
        """Return up to ``count`` keys of points; rows of one block are drawn more often together than chance would."""
        async with self._database.connection() as connection:
            tables = await catalog.by_id(connection, generation)
            if tables is None:
                return []
            blocks: int = await connection.fetchval(_BLOCKS_OF, tables.points.quoted())
            if not blocks:
                return []
            found: set[bytes] = set()
            for block in random.choices(range(blocks), k=_BLOCKS):  # noqa: S311 - a sample, no secret
                found |= await self._of_block(connection, tables, block)
        return random.sample(sorted(found), min(count, len(found)))

    async def _of_block(
        self, connection: Connection, tables: catalog.CollectionTables, block: int
    ) -> set[bytes]:
        rows = await fetch(
            connection,
            sql(
                "SELECT key FROM ",
                tables.points,
                " WHERE NOT deleted AND ctid >= ",
                Argument((block, 0)),
                "::tid AND ctid < ",
                Argument((block + 1, 0)),
                "::tid",
            ),
        )
        return {bytes(row["key"]) for row in rows}


class PostgresWitness:
    """``Witness`` on the target's database; ``hints`` are the intents that Qdrant keeps, if there is one."""

    def __init__(self, database: Database, hints: HintStore | None) -> None:
        self._database = database
        self._hints = hints

    async def count(self, generation: int) -> TargetCount | None:
        """Count the rows, in one statement."""
        async with self._database.connection() as connection:
            tables = await catalog.by_id(connection, generation)
            if tables is None:
                return None
            (row,) = await fetch(
                connection,
                sql(
                    "SELECT count(*) FILTER (WHERE NOT deleted) AS points, count(*) AS rows,"
                    " coalesce(sum(version), 0)::text AS versions FROM ",
                    tables.points,
                ),
            )
        return TargetCount(row["points"], row["rows"], row["versions"])

    async def is_quiet(self, watched: Watched) -> bool:
        """Say whether nothing is unsettled, hints first: they move to the ledger."""
        if self._hints is not None and await self._hints.count(watched.generation):
            return False
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_STATE, watched.name)
            if row is None or (row["generation"], row["epoch"]) != (
                watched.generation,
                watched.epoch,
            ):
                return False
            return not await control_rows.unsettled(connection, watched.generation, watched.name)

    async def quarantined(self, generation: int) -> int:
        """Return how many points are listed, waived or not."""
        async with self._database.connection() as connection:
            return control_rows.number(
                await connection.fetchval(
                    "SELECT count(*) FROM vecferry.quarantine WHERE generation = $1", generation
                )
            )


def _proves_ports(rows: RandomRows, witness: PostgresWitness) -> tuple[Drawn, Witness]:
    return rows, witness
