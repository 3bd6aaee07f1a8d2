"""Builds HNSW indexes after the data is there, without stopping writers."""

from dataclasses import dataclass

import structlog

from service.errors import ConfigurationError
from service.stores.configuration import hnsw_config
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.distances import index_expression, is_indexable
from service.stores.postgres.index_builds import DAY_SECONDS, Built, alone, without_limits
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import Identifier, Sql, number, sql

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """pgvector's ``m`` (2 to 100) and ``ef_construction`` (at least twice that, at most 1000)."""

    m: int
    ef_construct: int


_MEGABYTE = 1 << 20
# The graph of m=16 takes this much per row beside the vector's four bytes per dimension (measured: 0.8 to 1.1 kB).
_GRAPH_BYTES = 1_100
_LEAST_MEGABYTES = 64
_MOST_MEGABYTES = 4_096


async def build_indexes(db: Database, tables: CollectionTables, *, min_rows: int = 0) -> list[str]:
    """Build the missing index of each vector and return the names of the vectors that got one.

    Vectors that pgvector cannot index, and tables with fewer than ``min_rows`` rows, are left to exact scans. Who comes
    while somebody builds for the collection waits, and finds it done.
    Needs a direct connection: raises ``ConfigurationError`` where one is missing behind a transaction pooler.
    """
    built = []
    for vector in tables.vectors.values():
        options = graph_options(tables, vector)
        if options is None:
            log.info("hnsw_skipped", table=vector.table.quoted(), dimensions=vector.size)
            continue
        if db.pooled:
            await _check_none_missing(db, vector, min_rows)
            continue
        async with db.connection() as connection, without_limits(connection):
            count = await connection.fetchval(
                f"SELECT count(*) FROM {vector.table.quoted()}", timeout=DAY_SECONDS
            )
            if count < min_rows or await has_index(connection, vector):
                continue
            async with alone(connection, Built.GRAPHS, tables.id):
                if not await has_index(connection, vector):
                    await _build(connection, vector, count, options)
                    built.append(vector.name)
    return built


async def _check_none_missing(db: Database, vector: VectorTable, min_rows: int) -> None:
    """Raise ``ConfigurationError`` when an index would have to be built; looks at ``min_rows`` rows at most."""
    async with db.connection() as connection:
        rows = await connection.fetchval(
            f"SELECT count(*) FROM (SELECT FROM {vector.table.quoted()} LIMIT $1) AS first_rows",
            min_rows,
        )
        if rows >= min_rows and not await has_index(connection, vector):
            raise ConfigurationError("an index build needs a direct connection, not a pooler")


def graph_options(tables: CollectionTables, vector: VectorTable) -> GraphOptions | None:
    """Return the options within pgvector's bounds; ``None`` where Qdrant wants no graph, or pgvector can build none."""
    if not is_indexable(vector):
        return None
    config = hnsw_config(tables.config, vector.name)
    if config.m == 0:
        return None
    edges = min(max(config.m, 2), 100)
    return GraphOptions(edges, min(max(config.ef_construct, 2 * edges), 1000))


async def _build(
    connection: Connection, vector: VectorTable, count: int, options: GraphOptions
) -> None:
    # A build that failed or was stopped leaves an invalid index behind.
    await connection.execute(
        f"DROP INDEX CONCURRENTLY IF EXISTS {vector.index.quoted()}", timeout=DAY_SECONDS
    )
    connection.add_log_listener(_report)
    try:
        await connection.execute(
            "SELECT set_config('maintenance_work_mem', $1, false)",
            f"{build_megabytes(count, vector.size)}MB",
        )
        log.info("hnsw_build_started", index=vector.index.quoted(), rows=count)
        text, _ = _definition(vector, options).render()
        await connection.execute(text, timeout=DAY_SECONDS)
        log.info("hnsw_build_finished", index=vector.index.quoted(), rows=count)
    finally:
        connection.remove_log_listener(_report)


def build_megabytes(count: int, dimensions: int) -> int:
    """Return the memory in MB that keeps the graph of so many rows out of the temporary files."""
    needed = count * (4 * dimensions + _GRAPH_BYTES) * 5 // 4
    return min(max(needed // _MEGABYTE + 1, _LEAST_MEGABYTES), _MOST_MEGABYTES)


def _definition(vector: VectorTable, options: GraphOptions) -> Sql:
    _, index = vector.index.parts
    return sql(
        "CREATE INDEX CONCURRENTLY ",
        Identifier((index,)),
        " ON ",
        vector.table,
        " USING hnsw (",
        index_expression(vector),
        ") WITH (m = ",
        number(options.m),
        ", ef_construction = ",
        number(options.ef_construct),
        ")",
    )


async def has_index(conn: Connection, vector: VectorTable) -> bool:
    """Say whether the vector has an index that is complete."""
    valid: bool | None = await conn.fetchval(
        "SELECT indisvalid FROM pg_catalog.pg_index WHERE indexrelid = to_regclass($1)",
        vector.index.quoted(),
    )
    return bool(valid)


async def indexed_vectors(conn: Connection, tables: CollectionTables) -> int:
    """Return the number of vectors that are in an index."""
    total = 0
    for vector in tables.vectors.values():
        if await has_index(conn, vector):
            total += await conn.fetchval(f"SELECT count(*) FROM {vector.table.quoted()}")
    return total


def _report(_: object, message: object) -> None:
    """Pass on what the server says meanwhile, above all that the graph no longer fits in memory."""
    log.warning("hnsw_build_notice", message=str(message))
