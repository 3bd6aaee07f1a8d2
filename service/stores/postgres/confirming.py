"""Looking at ids of both stores while nothing can make them equal or unequal in between.

Rule 1: the locks of the ids come first, those of both directions: no resync of them, in either direction, is under way
        until the transaction ends; nor, where the target is the authority, a client's write; nor the settling of a
        change of the whole collection.
Rule 2: what may name an unsettled write is asked *after* the stores were read, in the order in which a write passes it
        on: hints, then intents. A write that the authority had when it was read has left one of them before that, and
        none can be settled against the locks.
Rule 3: the source has a bounded time to answer, because clients may be waiting for the locks.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from backfill.canonical import differences
from backfill.confirming import Judge, Judgement
from service.errors import SourceUnavailable, StageError
from service.model.ids import decode_key, encode_key
from service.model.points import Point, Record
from service.protocol.ledger import Fetch, HintStore
from service.stages import Stage, mirrors
from service.stores.postgres import catalog, locks, reads, whole
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database

_SOURCE_SECONDS = 3.0
_HINTS_PER_READ = 256
_MOST_HINTED = 10_000
"""Ids that hints may name; where they name more, every difference stays open."""

_STAGE = "SELECT stage FROM vecferry.control WHERE generation = $1"

# Which of the keys an unsettled write of the generation names, dead letters included.
_NAMED = """
    SELECT DISTINCT substr(i.keys, at, 17) AS key
    FROM vecferry.intents AS i, generate_series(1, octet_length(i.keys), 17) AS at
    WHERE i.generation = $1 AND substr(i.keys, at, 17) = ANY ($2::bytea[])
"""

_WHOLE = """
    SELECT EXISTS (SELECT FROM vecferry.collection_intents WHERE generation = $1 OR name = $2)
"""


class PostgresJudge:
    """``Judge`` on the target's database.

    ``source`` returns the resync's own reader of a collection, which calls a point absent only where Qdrant's replicas
    agree (R12). ``hints`` are intents that Qdrant keeps (R6); ``None`` where there are none.
    """

    def __init__(
        self, database: Database, source: Callable[[str], Fetch], hints: HintStore | None
    ) -> None:
        self._database = database
        self._source = source
        self._hints = hints

    async def judge(
        self, collection: str, generation: int, keys: Sequence[bytes]
    ) -> Sequence[Judgement]:
        """Look at the keys under their locks."""
        async with self._database.transaction() as connection:
            await locks.lock(connection, -generation, keys)
            await locks.lock(connection, generation, keys)
            await whole.hold_shared(connection, collection)
            tables = await _tables(connection, collection, generation)
            source = await self._fetched(collection, keys)
            target = _by_key(await reads.whole_points(connection, tables, sorted(keys)))
            found = {key: differences(source.get(key), target.get(key)) for key in keys}
            differing = [key for key in keys if found[key]]
            named = await self._named(connection, collection, generation, differing)
        return [Judgement(key, found[key], is_settled=key not in named) for key in keys]

    async def _fetched(self, collection: str, keys: Sequence[bytes]) -> Mapping[bytes, Record]:
        try:
            async with asyncio.timeout(_SOURCE_SECONDS):
                return _by_key(await self._source(collection)([decode_key(key) for key in keys]))
        except TimeoutError as error:
            reason = "did not answer in time"
            raise SourceUnavailable(reason, may_have_applied=False) from error

    async def _named(
        self, connection: Connection, collection: str, generation: int, keys: Sequence[bytes]
    ) -> frozenset[bytes]:
        """Return which of the keys an unsettled write names, or may name."""
        if not keys:
            return frozenset()
        hinted = await self._hinted(generation)
        if hinted is None:
            return frozenset(keys)
        rows = await connection.fetch(_NAMED, generation, list(keys))
        if await connection.fetchval(_WHOLE, generation, collection):
            return frozenset(keys)
        return hinted.intersection(keys).union(row["key"] for row in rows)

    async def _hinted(self, generation: int) -> frozenset[bytes] | None:
        """Return the keys that hints of the generation name, ``None`` where they are too many."""
        if self._hints is None:
            return frozenset()
        try:
            async with asyncio.timeout(_SOURCE_SECONDS):
                return await _keys_of(self._hints, generation)
        except TimeoutError as error:
            reason = "did not answer in time"
            raise SourceUnavailable(reason, may_have_applied=False) from error


async def _keys_of(hints: HintStore, generation: int) -> frozenset[bytes] | None:
    found: list[bytes] = []
    after = None
    while page := await hints.read(generation=generation, after=after, limit=_HINTS_PER_READ):
        for hint in page:
            found += hint.intent.keys
        if len(found) > _MOST_HINTED:
            return None
        after = page[-1].intent.id
    return frozenset(found)


async def _tables(connection: Connection, collection: str, generation: int) -> CollectionTables:
    stage = await connection.fetchval(_STAGE, generation)
    tables = await catalog.by_id(connection, generation)
    if stage is None or tables is None:
        message = f"`{collection}` was dropped, or its mirror was begun anew"
        raise StageError(message)
    if not mirrors(Stage(stage)):
        message = f"`{collection}` is in stage {stage}: its stores are no longer both written"
        raise StageError(message)
    return tables


def _by_key(points: Sequence[Point]) -> Mapping[bytes, Record]:
    return {
        encode_key(point.id): Record(point.id, point.payload, point.vectors) for point in points
    }


if TYPE_CHECKING:
    _port: type[Judge] = PostgresJudge
