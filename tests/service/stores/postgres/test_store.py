"""What PgStore adds to its parts: the order of a write, and the hook in it."""

from collections.abc import Sequence

import pytest

from service.errors import BadRequest, StaleEpoch
from service.model.ids import encode_key
from service.model.operations import ByFilter, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Filter,
    HasIdCondition,
    QueryRequest,
    ScrollRequest,
)
from service.queries.strict.mode import StrictMode
from service.stores.postgres import catalog, writes
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


async def test_strict_mode_is_asked_each_time(database: Database) -> None:
    """Also where the collection was seen before; a store without it refuses nothing."""
    limits = {"enabled": True, "max_query_limit": 3, "upsert_max_batchsize": 1}
    request = CreateCollection.model_validate(
        {"vectors": {"size": 1, "distance": "Dot"}, "strict_mode_config": limits}
    )
    free, strict = PgStore(database), PgStore(database, strict=StrictMode())
    await free.create_collection("things", request)
    search, page = QueryRequest(query=[1.0], limit=4), ScrollRequest(limit=4)
    points = Upsert([Point(number, {}, {}) for number in (1, 2)])
    for _ in range(2):
        await free.apply("things", points, wait=True)
        await free.query("things", search)
        await free.scroll("things", page)
        await strict.query("things", search.model_copy(update={"limit": 3}))
        await strict.scroll("things", page.model_copy(update={"limit": 3}))
        with pytest.raises(BadRequest, match="4 > 3"):
            await strict.query("things", search)
        with pytest.raises(BadRequest, match="4 > 3"):
            await strict.scroll("things", page)
        with pytest.raises(BadRequest, match="2 > 1"):
            await strict.apply("things", points, wait=True)


async def test_a_filter_is_checked_once_more_under_the_locks(database: Database) -> None:
    """A point that stopped matching while its lock was awaited stays."""
    store = PgStore(database)
    await store.create_collection("things", CreateCollection())
    await store.apply("things", Upsert([Point(1, {}, {"n": 1}), Point(2, {}, {"n": 1})]), wait=True)
    matches = {"must": [{"key": "n", "match": {"value": 1}}]}
    operation = Delete(ByFilter(Filter.model_validate(matches)))
    async with database.transaction() as conn:
        tables = await catalog.get(conn, "things")
        keys = await writes.resolve(conn, tables, operation)
        await store.apply("things", Upsert([Point(2, {}, {"n": 2})]), wait=True)
        await writes.lock(conn, tables.id, keys)
        await writes.write(conn, tables, operation, keys)
    [left] = (await store.scroll("things", ScrollRequest(limit=9))).records
    assert left.id == 2
