"""What every index build beside live traffic needs: no limits in time, and nobody who builds the same."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum

from service.stores.postgres.database import Connection, Database

DAY_SECONDS = 86_400.0
"""How long a build may take."""
_POLL_SECONDS = 0.5
_TRY = "SELECT pg_try_advisory_lock($1, $2)"
_END = "SELECT pg_advisory_unlock($1, $2)"


class Built(IntEnum):
    """What is built of a collection: the first half of the key of an advisory lock, the second is the collection."""

    PAYLOAD_INDEXES = 7_166_002
    GRAPHS = 7_166_003
    LARGE_GRAPH = 7_166_004
    """One at a time, of whichever collection; the second half is 0."""


def _in_silence() -> None:
    """Stand in where nobody is told of a wait."""


@asynccontextmanager
async def builder(
    db: Database,
    what: Built,
    collection_id: int,
    *,
    is_large: bool = False,
    waits: Callable[[], None] = _in_silence,
) -> AsyncIterator[Connection]:
    """Lend a connection without time limits, while nobody else builds the same; waits without one, and says so.

    Of large ones there is one at a time in the whole database: each takes all the memory that a build may take.

    An index that somebody is building looks like one whose build failed, hence the lock. It is the session's, because a
    concurrent build cannot run in a transaction. The connection must be the one that builds: the server goes on with a
    build whose client has died, and keeps the lock as long. Nobody waits for it in the database: the build itself waits
    for every statement that began before it.
    """
    turns = [(what, collection_id % (1 << 31))]
    if is_large:
        turns.append((Built.LARGE_GRAPH, 0))
    while True:
        async with db.connection() as connection:
            taken: list[tuple[int, int]] = []
            try:
                if await _take(connection, turns, taken):
                    async with _without_limits(connection):
                        yield connection
                    return
            finally:
                if not connection.is_closed():
                    for turn in taken:
                        await connection.execute(_END, *turn)
        waits()
        await asyncio.sleep(_POLL_SECONDS)


async def _take(
    connection: Connection, turns: Sequence[tuple[int, int]], taken: list[tuple[int, int]]
) -> bool:
    """Take all turns, in their order, and say whether they were to be had; ``taken`` gets those to be given back."""
    for turn in turns:
        taken.append(turn)  # who is cancelled while he asks may have got it
        if not await connection.fetchval(_TRY, *turn):
            taken.pop()
            return False
    return True


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
