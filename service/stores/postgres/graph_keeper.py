"""Builds the HNSW index of a collection that has grown large enough, in the background.

A collection that was copied gets its indexes with the copy; this one looks after those that fill by themselves.
Instances take turns; what fails is tried again some minutes later.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from service.errors import VecferryError
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.hnsw import BuildLimits, BuiltIndex
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 30.0
_AGAIN_SECONDS = 300.0

_COMPLETE = """
    SELECT c.id FROM vecferry.collections AS c
    LEFT JOIN vecferry.control AS r ON r.generation = c.id
    WHERE coalesce(r.backfilled, true) ORDER BY c.id
"""


def _nobody_counts(_: BuiltIndex) -> None:
    """Stand in where there are no metrics."""


class GraphKeeper:
    """Looks for vectors with ``min_rows`` rows and no index."""

    def __init__(
        self,
        database: Database,
        *,
        min_rows: int,
        limits: BuildLimits = BuildLimits(),  # noqa: B008 - frozen
        built: Callable[[BuiltIndex], None] = _nobody_counts,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """``built`` is told of every index."""
        self._database = database
        self._min_rows = min_rows
        self._limits = limits
        self._built = built
        self._look_seconds = look_seconds
        self._not_before: dict[int, float] = {}

    async def run(self) -> None:
        """Keep the indexes until cancelled."""
        trouble = Trouble("vector_indexes_unread")
        while True:
            await asyncio.sleep(self._look_seconds)
            with trouble.contained("vector_indexes_broken"):
                await self.look()

    async def look(self) -> None:
        """Build what is missing in every collection that is not being copied."""
        async with self._database.connection() as connection:
            collections = [row["id"] for row in await connection.fetch(_COMPLETE)]
        for collection in collections:
            if self._not_before.get(collection, 0.0) <= time.monotonic():
                await self._try(collection)

    async def _try(self, collection: int) -> None:
        try:
            await self._build(collection)
        except VecferryError as error:
            self._not_before[collection] = time.monotonic() + _AGAIN_SECONDS
            _log.warning("vector_index_not_built", collection=collection, error=str(error))

    async def _build(self, collection: int) -> None:
        async with self._database.connection() as connection:
            tables = await catalog.by_id(connection, collection)
            if tables is None or not await self._is_missing(connection, tables):
                return
        for index in await hnsw.build_indexes(
            self._database, tables, min_rows=self._min_rows, limits=self._limits
        ):
            self._built(index)

    async def _is_missing(self, connection: Connection, tables: CollectionTables) -> bool:
        """Say whether a vector has enough rows and no index; looks at ``min_rows`` rows of each at most."""
        for vector in tables.vectors.values():
            if hnsw.graph_options(tables.config, vector) is None:
                continue
            if await hnsw.has_index(connection, vector):
                continue
            rows = await connection.fetchval(
                f"SELECT count(*) FROM (SELECT FROM {vector.table.quoted()} LIMIT $1) AS first_rows",
                self._min_rows,
            )
            if rows >= self._min_rows:
                return True
        return False
