"""Locks, mirrors and backfill pages on a real Postgres; the operations themselves are in tests/contract."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from service.errors import PointNotFound, Unsupported, WrongInput
from service.model.ids import PointId, encode_key, sorted_keys
from service.model.operations import ByIds, CreateIndex, Delete, SetPayload, Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, VectorParams
from service.stores.postgres import catalog, reads, writes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Database
from service.stores.postgres.locks import STRIPES, lock_numbers
from service.stores.postgres.store import PgStore


@pytest.fixture
async def tables(database: Database) -> CollectionTables:
    """A collection with the vectors ``a`` (2) and ``b`` (1)."""
    dot = Distance.DOT
    config = CreateCollection(
        vectors={"a": VectorParams(size=2, distance=dot), "b": VectorParams(size=1, distance=dot)}
    )
    async with database.transaction() as conn:
        return await catalog.create(conn, "things", config)


def _point(point_id: PointId, payload: dict[str, Any], **vectors: list[float]) -> Point:
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in vectors.items()}
    return Point(point_id, arrays, payload)


async def _state(database: Database, tables: CollectionTables) -> dict[Any, Any]:
    """Every live point: payload and vectors."""
    async with database.connection() as conn:
        keys = [r["key"] for r in await conn.fetch(f"SELECT key FROM {tables.points.quoted()}")]
        points = await reads.whole_points(conn, tables, keys)
    return {
        point.id: (
            point.payload,
            {name: np.asarray(value).tolist() for name, value in point.vectors.items()},
        )
        for point in points
    }


async def _mirror(
    database: Database,
    tables: CollectionTables,
    present: Sequence[Point],
    absent: Sequence[PointId] = (),
) -> None:
    async with database.transaction() as conn:
        await writes.mirror(conn, tables, present, absent)


async def test_mirror_makes_points_equal(database: Database, tables: CollectionTables) -> None:
    """New, changed, stripped and absent points all end as the other store has them."""
    await _mirror(
        database,
        tables,
        [
            _point(1, {"n": 1}, a=[1, 2], b=[3]),
            _point(2, {"n": 2}, a=[1, 2]),
            _point(3, {"n": 3}, b=[9]),
        ],
    )
    await _mirror(
        database, tables, [_point(1, {"m": 1}, b=[4]), _point(4, {}, a=[5, 6])], absent=[3, 99]
    )
    assert await _state(database, tables) == {
        1: ({"m": 1}, {"b": [4]}),
        2: ({"n": 2}, {"a": [1, 2]}),
        4: ({}, {"a": [5, 6]}),
    }


async def test_mirror_sees_a_number_change_its_type(
    database: Database, tables: CollectionTables
) -> None:
    """To jsonb 1 and 1.0 are equal, to an integer filter they are not."""
    await _mirror(database, tables, [_point(1, {"n": 1})])
    await _mirror(database, tables, [_point(1, {"n": 1.0})])
    payload, _ = (await _state(database, tables))[1]
    assert isinstance(payload["n"], float)


async def test_mirroring_the_same_again_writes_no_row(
    database: Database, tables: CollectionTables
) -> None:
    """Replays leave the rows, and with them the HNSW graph, alone."""
    points = [_point(number, {"n": number}, a=[1, number]) for number in range(3)]
    await _mirror(database, tables, points, absent=[7])
    before = await _row_versions(database, tables)
    await _mirror(database, tables, points, absent=[7])
    assert await _row_versions(database, tables) == before


async def _row_versions(database: Database, tables: CollectionTables) -> list[Any]:
    async with database.connection() as conn:
        found = []
        for table in (tables.points, *(vector.table for vector in tables.vectors.values())):
            found += await conn.fetch(f"SELECT xmin::text, ctid::text FROM {table.quoted()}")
        return [tuple(row) for row in found]


async def test_mirror_takes_as_many_statements_for_many_points(
    database: Database, tables: CollectionTables
) -> None:
    """The number of statements does not grow with the number of points."""
    counts = []
    # The first round also pays for the driver's look at the types.
    for size in (1, 1, 500):
        points = [_point(number, {}, a=[1, 2], b=[1]) for number in range(size)]
        async with database.transaction() as conn:
            seen: list[Any] = []
            conn.add_query_logger(seen.append)
            await writes.mirror(conn, tables, points, [size + 1])
            conn.remove_query_logger(seen.append)
        counts.append(len(seen))
    assert counts[1] == counts[2]


async def test_mirrors_and_backfill_pages_do_not_deadlock(
    database: Database, tables: CollectionTables
) -> None:
    """They take the rows of all their ids in one order, present or absent."""

    async def mirror(ids: list[int]) -> None:
        present, absent = ids[::2], ids[1::2]
        points = [_point(number, {"live": True}, a=[1, 2]) for number in present]
        async with database.transaction() as conn:
            await writes.lock(conn, tables.id, sorted_keys(ids))
            await writes.mirror(conn, tables, points, absent)

    async def page(ids: list[int]) -> None:
        points = [_point(number, {}, a=[3, 4]) for number in ids]
        async with database.transaction() as conn:
            await writes.insert_missing(conn, tables, points)

    chosen = random.Random(5)
    for first in range(0, 6_000, 600):
        ids = range(first, first + 600)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(mirror(chosen.sample(ids, 400)))
                tasks.create_task(page(chosen.sample(ids, 400)))


async def test_a_mirror_waits_for_a_page_with_nothing_that_the_page_wants(
    database: Database, tables: CollectionTables
) -> None:
    """While id 1 of a page is on its way, a mirror of 1 (absent) and 2 (present) has not taken 2 yet."""
    present = _point(2, {"live": True}, a=[1, 2])
    async with asyncio.TaskGroup() as tasks, database.transaction() as conn, asyncio.timeout(5):
        assert await writes.insert_missing(conn, tables, [_point(1, {})]) == 1
        mirror = tasks.create_task(_mirror(database, tables, [present], absent=[1]))
        await asyncio.sleep(0.2)
        assert not mirror.done()
        assert await writes.insert_missing(conn, tables, [_point(2, {})]) == 1
    assert await _state(database, tables) == {2: ({"live": True}, {"a": [1, 2]})}


async def test_a_backfill_page_adds_only_what_is_not_known(
    database: Database, tables: CollectionTables
) -> None:
    """Neither a newer point nor a tombstone, even of an id never seen here, is touched."""
    await _mirror(database, tables, [_point(1, {"new": True}, a=[1, 1])], absent=[2])
    stale = [_point(number, {"stale": True}, a=[9, 9], b=[9]) for number in (1, 2, 3, 3)]
    async with database.transaction() as conn:
        assert await writes.insert_missing(conn, tables, stale) == 1
    assert await _state(database, tables) == {
        1: ({"new": True}, {"a": [1, 1]}),
        3: ({"stale": True}, {"a": [9, 9], "b": [9]}),
    }


async def test_a_deleted_point_is_not_filled_in_again(
    database: Database, tables: CollectionTables
) -> None:
    """An operation leaves the same tombstone as a mirror, and an upsert lifts it (I4)."""
    point = _point(1, {}, a=[1, 2])
    async with database.transaction() as conn:
        await writes.write(conn, tables, Upsert([point]), [encode_key(1)])
        await writes.write(conn, tables, Delete(ByIds((1,))), [encode_key(1)])
        assert await writes.insert_missing(conn, tables, [point]) == 0
    assert await _state(database, tables) == {}
    async with database.transaction() as conn:
        await writes.write(conn, tables, Upsert([point]), [encode_key(1)])
    assert list(await _state(database, tables)) == [1]


async def test_a_point_that_does_not_fit_is_wrong_input(
    database: Database, tables: CollectionTables
) -> None:
    """A wrong dimension, and a value that jsonb cannot hold, both name the caller's fault."""
    for broken in (_point(1, {}, a=[1]), _point(1, {"s": chr(0)}), _point(1, {"n": 2**70})):
        with pytest.raises(WrongInput):
            await _mirror(database, tables, [_point(2, {}), broken])
    assert await _state(database, tables) == {}


async def test_an_operation_with_an_unknown_id_changes_nothing(
    database: Database, tables: CollectionTables
) -> None:
    """Qdrant changes the known ids first; here the transaction takes it back."""
    await _mirror(database, tables, [_point(1, {"n": 1})])
    operation = SetPayload(ByIds((1, 99)), {"n": 2})
    store = PgStore(database)
    with pytest.raises(PointNotFound, match="No point with id 99 found"):
        await store.apply("things", operation, wait=True)
    assert await _state(database, tables) == {1: ({"n": 1}, {})}


async def test_a_write_touches_only_the_given_keys(
    database: Database, tables: CollectionTables
) -> None:
    """What was not locked is not written, whatever the operation names."""
    points = [_point(1, {}), _point(2, {})]
    async with database.transaction() as conn:
        await writes.write(conn, tables, Upsert(points), [encode_key(2)])
    assert list(await _state(database, tables)) == [2]


async def test_indexes_are_not_supported_yet(database: Database, tables: CollectionTables) -> None:
    """They are refused, not ignored."""
    async with database.transaction() as conn:
        with pytest.raises(Unsupported):
            await writes.resolve(conn, tables, CreateIndex("a", "keyword"))


def test_lock_numbers_are_few_sorted_and_apart() -> None:
    """A collection never takes more than its stripes, and two collections share none."""
    keys = sorted_keys(range(5_000))
    first, second = lock_numbers(1, keys), lock_numbers(2, keys)
    assert len(first) == STRIPES
    assert first == sorted(first)
    assert not set(first) & set(second)
    assert lock_numbers(1, keys[:1]) == lock_numbers(1, keys[:1] * 3)


async def test_a_lock_makes_the_second_writer_wait(
    database: Database, tables: CollectionTables
) -> None:
    """Read-modify-write on one id from many tasks loses no change."""
    await _mirror(database, tables, [_point(1, {"n": 0})])
    key = encode_key(1)

    async def increment() -> None:
        async with database.transaction() as conn:
            await writes.lock(conn, tables.id, [key])
            [point] = await reads.whole_points(conn, tables, [key])
            await asyncio.sleep(0.01)
            changed = _point(1, {"n": point.payload["n"] + 1})
            await writes.mirror(conn, tables, [changed], [])

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(increment())
    assert await _state(database, tables) == {1: ({"n": 8}, {})}
