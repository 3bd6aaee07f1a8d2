"""What every index build beside live traffic needs: no limits in time, and nobody who builds the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

from service.stores.postgres.database import Connection, Database

DAY_SECONDS = 86_400.0
"""How long a build may take."""
_POLL_SECONDS = 0.5


class Built(IntEnum):
    """What is built of a collection: the first half of the key of an advisory lock, the second is the collection."""

    PAYLOAD_INDEXES = 7_166_002
    GRAPHS = 7_166_003


@asynccontextmanager
async def builder(db: Database, what: Built, collection_id: int) -> AsyncIterator[Connection]:
    """Lend a connection without time limits, while nobody else builds the same; waits without one.

    An index that somebody is building looks like one whose build failed, hence the lock. It is the session's, because a
    concurrent build cannot run in a transaction. The connection must be the one that builds: the server goes on with a
    build whose client has died, and keeps the lock as long. Nobody waits for it in the database: the build itself waits
    for every statement that began before it.
    """
    key = collection_id % (1 << 31)
    while True:
        async with db.connection() as connection:
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", what, key):
                try:
                    async with _without_limits(connection):
                        yield connection
                finally:
                    if not connection.is_closed():
                        await connection.execute("SELECT pg_advisory_unlock($1, $2)", what, key)
                return
        await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def _without_limits(connection: Connection) -> AsyncIterator[None]:
    """Lift the server's time limits, and in the end put back whatever the build has set.

    Session settings, because a concurrent build cannot run in a transaction. Its lock holds up no reader and no writer,
    so it may wait for it.
    """
    try:
        await connection.execute(
            "SELECT set_config('statement_timeout', '0', false),"
            " set_config('lock_timeout', '0', false)"
        )
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(
                "RESET statement_timeout; RESET lock_timeout; RESET client_min_messages;"
                " RESET maintenance_work_mem; RESET max_parallel_maintenance_workers;"
                " RESET min_parallel_table_scan_size"
            )
