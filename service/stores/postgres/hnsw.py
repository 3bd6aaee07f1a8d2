"""Builds HNSW indexes after the data is there, without stopping writers.

What passes by itself (a lock that is not granted, a full disk, a lost connection) is tried again with growing pauses, a
few times; whatever an attempt leaves behind is dropped.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass

import asyncpg
import structlog

from backfill.together import together
from service.errors import ConfigurationError, TargetUnavailable
from service.model.qdrant import CreateCollection
from service.stores.configuration import hnsw_config
from service.stores.postgres import ddl
from service.stores.postgres.build_progress import BuildWatch, Note
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.ddl import GraphOptions
from service.stores.postgres.distances import is_indexable
from service.stores.postgres.graph_sizes import LEAST_MEGABYTES, build_megabytes
from service.stores.postgres.index_builds import DAY_SECONDS, Built, builder
from service.stores.postgres.vector_tables import VectorTable

log = structlog.get_logger()

_SPILL = "no longer fits into maintenance_work_mem"
_SHARED_MEMORY = "shared memory"
_LONGEST_PAUSE_SECONDS = 60.0
_LAST_SECONDS = 5.0
_SMALL_BUILDS = 8
"""A build that wants at most this part of the memory may run beside others."""

_SERVER = """
    SELECT (pg_size_bytes(current_setting('maintenance_work_mem')) >> 20)::int AS megabytes,
        (pg_size_bytes(current_setting('shared_buffers')) >> 20)::int AS buffers,
        current_setting('max_parallel_maintenance_workers')::int AS workers
"""
# A spill must be heard; small tables profit from workers as large ones do, because the work is not the reading.
_CONFIGURE = """
    SELECT set_config('maintenance_work_mem', $1, false),
        set_config('max_parallel_maintenance_workers', $2, false),
        set_config('min_parallel_table_scan_size', '0', false),
        set_config('client_min_messages', 'notice', false)
"""


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What a build may take. ``megabytes`` of 0 and ``workers`` of ``None`` leave it to the server's settings."""

    megabytes: int = 0
    workers: int | None = None
    retries: int = 5
    first_pause_seconds: float = 2.0
    """Doubled with every retry, up to a minute."""


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """An index that was built. ``spilled`` is the server's notice that memory was too small, ``None`` when it was not.

    ``workers`` is the most parallel workers that were seen, ``retried`` how many attempts had failed before.
    """

    vector: str
    rows: int
    seconds: float
    megabytes: int
    workers: int
    spilled: str | None
    retried: int

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "vector": self.vector,
            "rows": self.rows,
            "seconds": round(self.seconds, 1),
            "megabytes": self.megabytes,
            "workers": self.workers,
            "spilled": self.spilled,
            "retried": self.retried,
        }


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One index that is missing."""

    tables: CollectionTables
    vector: VectorTable
    options: GraphOptions
    min_rows: int
    limits: BuildLimits
    note: Note


def _quiet(_: str | None) -> None:
    """Stand in where nobody shows what is done."""


async def build_indexes(
    db: Database,
    tables: CollectionTables,
    *,
    min_rows: int = 0,
    limits: BuildLimits = BuildLimits(),
    note: Note = _quiet,
) -> list[BuiltIndex]:
    """Build the missing index of each vector and return what was built.

    Vectors that pgvector cannot index, and tables with fewer than ``min_rows`` rows, are left to exact scans. Who comes
    while somebody builds for the collection waits, and finds it done.
    Needs a direct connection: raises ``ConfigurationError`` where one is missing behind a transaction pooler. Raises
    ``TargetUnavailable`` when the retries are used up, and at once what does not pass by itself.
    """
    built = []
    for vector in tables.vectors.values():
        options = graph_options(tables.config, vector)
        if options is None:
            log.info("hnsw_skipped", table=vector.table.quoted(), dimensions=vector.size)
        elif db.pooled:
            await _check_none_missing(db, vector, min_rows)
        else:
            wanted = _Wanted(tables, vector, options, min_rows, limits, note)
            found = await _built_at_last(db, wanted)
            built += [] if found is None else [found]
    note(None)
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


def graph_options(config: CreateCollection, vector: VectorTable) -> GraphOptions | None:
    """Return the options within pgvector's bounds; ``None`` where Qdrant wants no graph, or pgvector can build none."""
    if not is_indexable(vector):
        return None
    wanted = hnsw_config(config, vector.name)
    if wanted.m == 0:
        return None
    edges = min(max(wanted.m, 2), 100)
    return GraphOptions(edges, min(max(wanted.ef_construct, 2 * edges), 1000))


async def _built_at_last(db: Database, wanted: _Wanted) -> BuiltIndex | None:
    """Build with as many attempts as are allowed; ``None`` when there is nothing to build."""
    limits, workers = wanted.limits, wanted.limits.workers
    failures = 0
    while True:
        try:
            return await _build(db, wanted, workers=workers, retried=failures)
        except TargetUnavailable as error:
            log.warning("hnsw_build_failed", index=wanted.vector.index.quoted(), error=str(error))
            if failures >= limits.retries:
                raise
            pause = min(limits.first_pause_seconds * 2**failures, _LONGEST_PAUSE_SECONDS)
            failures += 1
            if _lacks_shared_memory(error):
                # Workers share the graph in memory that containers often have little of; alone it needs none.
                workers = 0
            wanted.note(f"an index build failed and is tried again in {pause:g} s: {error}")
            await asyncio.sleep(pause)


def _lacks_shared_memory(error: TargetUnavailable) -> bool:
    cause = error.__cause__
    return isinstance(cause, asyncpg.DiskFullError) and _SHARED_MEMORY in str(cause)


async def _build(
    db: Database, wanted: _Wanted, *, workers: int | None, retried: int
) -> BuiltIndex | None:
    vector = wanted.vector
    async with db.connection() as connection:
        if await has_index(connection, vector):
            return None
        is_large = await _is_large(connection, wanted)
    async with builder(
        db,
        Built.GRAPHS,
        wanted.tables.id,
        is_large=is_large,
        waits=lambda: wanted.note("waiting for another index build to end"),
    ) as connection:
        if await has_index(connection, vector):
            return None
        rows = await connection.fetchval(
            f"SELECT count(*) FROM {vector.table.quoted()}", timeout=DAY_SECONDS
        )
        if rows < wanted.min_rows:
            return None
        # A build that failed or was stopped leaves an invalid index behind, which every write pays for.
        await connection.execute(ddl.drop_index(vector.index), timeout=DAY_SECONDS)
        megabytes = await _configure(connection, rows, wanted, workers)
        log.info("hnsw_build_started", index=vector.index.quoted(), rows=rows, megabytes=megabytes)
        started = time.monotonic()
        watch = await _watched(db, connection, wanted, rows)
        seconds = time.monotonic() - started
        built = BuiltIndex(
            vector.name, rows, seconds, megabytes, watch.workers, watch.spilled, retried
        )
        log.info("hnsw_build_finished", index=vector.index.quoted(), **built.to_json())
        return built


async def _is_large(connection: Connection, wanted: _Wanted) -> bool:
    """Say whether a build wants more than a small part of what all may take; counts no rows beyond those."""
    small = await allowed_megabytes(connection, wanted.limits) // _SMALL_BUILDS
    per_million = build_megabytes(1_000_000, wanted.vector, wanted.options)
    most = small * 1_000_000 // per_million
    rows: int = await connection.fetchval(
        f"SELECT count(*) FROM (SELECT FROM {wanted.vector.table.quoted()} LIMIT $1) AS first_rows",
        most + 1,
        timeout=DAY_SECONDS,
    )
    return rows > most


async def _configure(
    connection: Connection, rows: int, wanted: _Wanted, workers: int | None
) -> int:
    """Set memory and workers for the build and return the megabytes."""
    server = await connection.fetchrow(_SERVER)
    needed = build_megabytes(rows, wanted.vector, wanted.options)
    most = memory_cap(wanted.limits, server["megabytes"], server["buffers"])
    megabytes = min(needed, most)
    parallel = server["workers"] if workers is None else workers
    await connection.execute(_CONFIGURE, f"{megabytes}MB", str(parallel))
    return megabytes


async def allowed_megabytes(connection: Connection, limits: BuildLimits) -> int:
    """Return the most that a build on this server may take."""
    server = await connection.fetchrow(_SERVER)
    return memory_cap(limits, server["megabytes"], server["buffers"])


def memory_cap(limits: BuildLimits, maintenance_megabytes: int, buffer_megabytes: int) -> int:
    """Return the most megabytes that a build may take.

    A server says nothing of its memory. Who has tuned one has given it about a quarter of that as shared_buffers: twice
    as much is half of the memory. ``maintenance_work_mem`` was allowed in any case.
    """
    if limits.megabytes:
        return limits.megabytes
    return max(maintenance_megabytes, 2 * buffer_megabytes, LEAST_MEGABYTES)


async def _watched(db: Database, connection: Connection, wanted: _Wanted, rows: int) -> BuildWatch:
    """Build while another connection follows how far it is; drop what a failure leaves."""
    watch = BuildWatch(wanted.vector.index.parts[-1], rows)
    text, _ = ddl.graph(wanted.vector, wanted.options).render()

    def heard(_: object, message: asyncpg.PostgresLogMessage) -> None:
        said = message.message or ""
        if _SPILL in said:
            watch.spilled = said
            log.warning("hnsw_build_spilled", index=watch.index, message=said)

    async def build() -> None:
        try:
            await connection.execute(text, timeout=DAY_SECONDS)
        finally:
            watch.is_over()

    connection.add_log_listener(heard)
    try:
        await together(build(), watch.follow(db, connection.get_server_pid(), wanted.note))
    except asyncpg.PostgresError:
        await _dropped(connection, wanted, seconds=DAY_SECONDS)
        raise
    except asyncio.CancelledError:
        # Its job was cancelled, and there may be no other; or the process ends, which must not take long.
        await _dropped(connection, wanted, seconds=_LAST_SECONDS)
        raise
    finally:
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(heard)
    return watch


async def _dropped(connection: Connection, wanted: _Wanted, *, seconds: float) -> None:
    # Should this fail too, the next attempt drops it.
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await connection.execute(ddl.drop_index(wanted.vector.index), timeout=seconds)


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
