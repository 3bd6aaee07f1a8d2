"""Keeps the SQL indexes that serve filters what the payload schemas say, in the background.

The schema answers, the indexes only make it faster: no request waits for one or fails for one. What fails is tried
again. A collection that is being copied gets its indexes afterwards.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from service.errors import VecferryError
from service.stores.postgres import catalog
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Database
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0
_LONGEST_DELAY_SECONDS = 300.0

# A collection without a control row belongs to a store that stands alone.
_SCHEMAS = """
    SELECT c.id, c.payload_schema::text AS schema
    FROM vecferry.collections AS c LEFT JOIN vecferry.control AS r ON r.generation = c.id
    WHERE coalesce(r.backfilled, true)
    ORDER BY c.id
"""

Sync = Callable[[Database, CollectionTables], Awaitable[object]]
"""Makes the SQL indexes of a collection what its payload schema says; instances take turns in it."""


class IndexKeeper:
    """Looks for payload schemas whose indexes were not made yet."""

    def __init__(
        self, database: Database, sync: Sync, *, look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._database = database
        self._sync = sync
        self._look_seconds = look_seconds
        self._made: dict[int, str] = {}
        self._not_before: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._wake = asyncio.Event()

    def changed(self) -> None:
        """Note that a payload schema may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the indexes until cancelled."""
        trouble = Trouble("payload_indexes_unread")
        while True:
            self._wake.clear()
            with trouble.contained("payload_indexes_broken"):
                await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._wake.wait()

    async def look(self) -> None:
        """Make the indexes of every collection whose schema is another than at the last look."""
        async with self._database.connection() as connection:
            schemas = {row["id"]: row["schema"] for row in await connection.fetch(_SCHEMAS)}
        self._forget_all_but(schemas)
        for collection, schema in schemas.items():
            is_due = self._not_before.get(collection, 0.0) <= time.monotonic()
            if is_due and self._made.get(collection) != schema:
                await self._try(collection, schema)

    def _forget_all_but(self, schemas: dict[int, str]) -> None:
        for kept in (self._made, self._not_before, self._failures):
            for collection in kept.keys() - schemas.keys():
                kept.pop(collection, None)

    async def _try(self, collection: int, schema: str) -> None:
        try:
            async with self._database.connection() as connection:
                tables = await catalog.by_id(connection, collection)
            if tables is not None:
                await self._sync(self._database, tables)
        except VecferryError as error:
            times = self._failures[collection] = self._failures.get(collection, 0) + 1
            delay = min(self._look_seconds * 2**times, _LONGEST_DELAY_SECONDS)
            self._not_before[collection] = time.monotonic() + delay
            _log.warning("payload_indexes_not_made", collection=collection, error=str(error))
            return
        self._made[collection] = schema
        self._failures.pop(collection, None)
