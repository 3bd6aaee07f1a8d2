"""What every index build beside live traffic needs: no limits in time, and nobody who builds the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum

from service.stores.postgres.database import Connection

DAY_SECONDS = 86_400.0
"""How long a build may take."""
_POLL_SECONDS = 0.5


class Built(IntEnum):
    """What is built of a collection: the first half of the key of an advisory lock, the second is the collection."""

    PAYLOAD_INDEXES = 7_166_002
    GRAPHS = 7_166_003


@asynccontextmanager
async def without_limits(connection: Connection) -> AsyncIterator[None]:
    """Lift the server's time limits, and put them and the memory back in the end.

    Session settings, because a concurrent build cannot run in a transaction.
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
                "RESET maintenance_work_mem; RESET statement_timeout; RESET lock_timeout"
            )


@asynccontextmanager
async def alone(conn: Connection, what: Built, collection_id: int) -> AsyncIterator[None]:
    """Keep others out: an index that somebody is building looks like one whose build failed.

    The lock is the session's, because a concurrent build cannot run in a transaction. The connection must be the one
    that builds: the server goes on with a build whose client has died, and keeps the lock as long. Nobody waits for it
    in the database: the build itself waits for every statement that began before it.
    """
    key = collection_id % (1 << 31)
    while not await conn.fetchval(  # noqa: ASYNC110 - no event tells
        "SELECT pg_try_advisory_lock($1, $2)", what, key
    ):
        await asyncio.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        if not conn.is_closed():
            await conn.execute("SELECT pg_advisory_unlock($1, $2)", what, key)
