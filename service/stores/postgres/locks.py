"""Advisory locks, until the end of a transaction: on what one transaction at a time does, and on ids.

Every writer locks its ids before it reads what it will overwrite. The ids of a collection share 512 stripes, so that a
batch of any size takes a bounded number of locks; they are taken in ascending order in one statement, so that two
batches cannot deadlock.
"""

from collections.abc import Sequence
from enum import IntEnum
from zlib import crc32

from service.stores.postgres.database import Connection

STRIPES = 512
# The upper 16 bits keep our numbers apart from an application's own advisory locks in the same database.
_SPACE = 0x5646 << 48


class Single(IntEnum):
    """What one transaction at a time does; older versions know the numbers."""

    ALIASES = 1986356591
    ALIASES_OF_SOURCE = 1986356592


async def lock_single(conn: Connection, what: Single) -> None:
    """Let nobody else do this until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock($1)", what)


async def lock(conn: Connection, collection_id: int, keys: Sequence[bytes]) -> None:
    """Take the keys' locks until the transaction ends; read the rows in a *later* statement."""
    stripes = lock_numbers(collection_id, keys)
    if stripes:
        await conn.execute(
            "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS stripe(number)",
            stripes,
        )


def lock_numbers(collection_id: int, keys: Sequence[bytes]) -> list[int]:
    """Return the distinct lock numbers of the keys, ascending."""
    base = _SPACE + collection_id * STRIPES
    return sorted({base + crc32(key) % STRIPES for key in keys})
