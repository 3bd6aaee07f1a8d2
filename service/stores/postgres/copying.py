"""Copying points from one store to the other inside a resync: in parts, and around what is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from service.cancellation import end_if_cancelled
from service.model.ids import PointId, decode_key, encode_key
from service.model.points import Point
from service.protocol.ledger import Fetch, Push
from service.protocol.refusals import refused_of
from service.steps import Step, reached
from service.stores.postgres import settling, writes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.failures import translated

# Decoding a part holds up the event loop, and with it every client; a larger one saves little.
_IDS_PER_PART = 256
# Qdrant gives each of our reads the turn that it gives a client's write: one at a time could not keep up with them.
_PARTS_AHEAD = 3

Item: TypeAlias = tuple[PointId, Point | None]
"""An id, and the point that the authority has of it."""

Verdict: TypeAlias = tuple[Mapping[bytes, str], Sequence[bytes]]
"""The keys that were refused, with the reason, and those that there was no time to try alone."""

Write: TypeAlias = Callable[[Connection, CollectionTables, Sequence[Item]], Awaitable[Verdict]]


async def copied(
    connection: Connection,
    tables: CollectionTables,
    keys: Sequence[bytes],
    fetch: Fetch,
    write: Write,
) -> Verdict:
    """Copy the keys' points, ascending; some parts are read from the source while one before them is written."""
    parts = [keys[at : at + _IDS_PER_PART] for at in range(0, len(keys), _IDS_PER_PART)]
    ahead = asyncio.Semaphore(_PARTS_AHEAD)

    async def read(part: Sequence[bytes]) -> list[Item]:
        await ahead.acquire()
        return items_of(part, await fetch([decode_key(key) for key in part]))

    bad: dict[bytes, str] = {}
    undecided: list[bytes] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            for reading in [tasks.create_task(read(part)) for part in parts]:
                items = await reading
                reached(Step.RESYNC_READ)
                refused, untried = await write(connection, tables, items)
                ahead.release()
                bad |= refused
                undecided += untried
    except ExceptionGroup as errors:
        end_if_cancelled()
        raise errors.exceptions[0] from None
    return bad, undecided


async def together(
    connection: Connection, tables: CollectionTables, items: Sequence[Item]
) -> Verdict:
    """Write all or raise what is refused; the transaction is lost then."""
    await writes.mirror(connection, tables, _present(items), _absent(items))
    return {}, ()


async def apart(connection: Connection, tables: CollectionTables, items: Sequence[Item]) -> Verdict:
    """Write what is not refused; each attempt can be undone by itself."""

    async def attempt(part: Sequence[Item]) -> None:
        with translated():
            async with connection.transaction():
                await writes.mirror(connection, tables, _present(part), _absent(part))

    return _verdict(*await refused_of(items, attempt))


async def pushed(items: Sequence[Item], push: Push) -> Verdict:
    """Push what is not refused to the source."""

    async def attempt(part: Sequence[Item]) -> None:
        await push(_present(part), _absent(part))

    return _verdict(*await refused_of(items, attempt))


def items_of(keys: Sequence[bytes], points: Iterable[Point]) -> list[Item]:
    """Return each key's id with its point, if it has one."""
    found = {point.id: point for point in points}
    return [(each, found.get(each)) for each in map(decode_key, keys)]


def _verdict(refused: Sequence[tuple[Item, Exception]], undecided: Sequence[Item]) -> Verdict:
    bad = {encode_key(item[0]): settling.text_of(error) for item, error in refused}
    return bad, [encode_key(item[0]) for item in undecided]


def _present(items: Sequence[Item]) -> list[Point]:
    return [point for _, point in items if point is not None]


def _absent(items: Sequence[Item]) -> list[PointId]:
    return [point_id for point_id, point in items if point is None]
