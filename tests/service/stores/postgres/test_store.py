"""What PgStore adds to its parts: the order of a write, and the hook in it."""

from collections.abc import Sequence

import pytest

from service.errors import StaleEpoch
from service.model.ids import encode_key
from service.model.operations import ByFilter, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import CountRequest, CreateCollection, Filter, HasIdCondition
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore


async def test_the_hook_runs_locked_and_before_the_data(database: Database) -> None:
    """It gets the resolved keys of a filter, holds their locks and still sees the old rows."""
    seen: list[tuple[list[bytes], int, int]] = []

    async def hook(conn: Connection, tables: CollectionTables, keys: Sequence[bytes]) -> None:
        locks = await conn.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        live = await conn.fetchval(
            f"SELECT count(*) FROM {tables.points.quoted()} WHERE NOT deleted"
        )
        seen.append((list(keys), locks, live))

    await PgStore(database).create_collection("things", CreateCollection())
    points = [Point(number, {}, {}) for number in (3, 1, 2)]
    store = PgStore(database, on_write=hook)
    await store.apply("things", Upsert(points), wait=True)
    wanted = ByFilter(Filter(must=[HasIdCondition(has_id=[2, 3, 9])]))
    await store.apply("things", Delete(wanted), wait=True)
    assert seen == [
        ([encode_key(1), encode_key(2), encode_key(3)], 3, 0),
        ([encode_key(2), encode_key(3)], 2, 3),
    ]
    assert await store.count("things", CountRequest()) == 1


async def test_what_the_hook_raises_undoes_the_write(database: Database) -> None:
    """A stale epoch leaves nothing behind."""

    async def hook(conn: Connection, tables: CollectionTables, keys: Sequence[bytes]) -> None:
        raise StaleEpoch

    store = PgStore(database, on_write=hook)
    await store.create_collection("things", CreateCollection())
    with pytest.raises(StaleEpoch):
        await store.apply("things", Upsert([Point(1, {}, {})]), wait=True)
    assert await store.count("things", CountRequest()) == 0
