"""Measurements: close to the truth, kept for a while, made again afterwards."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from service.model.operations import ByIds, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CreateCollection,
    Distance,
    FieldCondition,
    Filter,
    Range,
    VectorParams,
)
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.store import PgStore
from service.translate.filters import filter_sql
from service.translate.sql import Sql

NAME = "measured"
_POINTS = 20_000


@pytest.fixture
async def conn(module_database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with a collection of numbered points."""
    database = await Database.open(module_database_url)
    store = PgStore(database)
    if not await store.has_collection(NAME):
        params = VectorParams(size=1, distance=Distance.DOT)
        await store.create_collection(NAME, CreateCollection(vectors=params))
        vector = {"": np.ones(1, np.float32)}
        points = [Point(number, vector, {"n": number}) for number in range(_POINTS + 1_000)]
        await store.apply(NAME, Upsert(points), wait=True)
        gone = ByIds(tuple(range(_POINTS, _POINTS + 1_000)))
        await store.apply(NAME, Delete(gone), wait=True)
    async with database.connection() as lent:
        yield lent
    await database.close()


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_a_share_is_close_to_the_truth(conn: Connection, is_analysed: bool) -> None:
    """With and without statistics, although what matches lies together; deleted points do not count."""
    tables = await catalog.get(conn, NAME)
    if is_analysed:
        await conn.execute(f"ANALYZE {tables.points.quoted()}")
    for part in (0.0, 0.3, 0.9):
        condition = filter_sql(_below(part * _POINTS), tables.row)
        shares = [await Estimates().share(conn, tables, condition) for _ in range(9)]
        assert np.median([share.matching for share in shares]) == pytest.approx(part, abs=0.2)
        assert np.median([share.points for share in shares]) == pytest.approx(_POINTS, rel=0.5)


@pytest.mark.parametrize(("part", "is_unsure"), [(0.0, False), (0.04, True), (0.5, False)])
async def test_more_is_sampled_where_the_choice_hangs_on_it(
    conn: Connection, part: float, is_unsure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times as many points near the share at which plans part."""
    tables = await catalog.get(conn, NAME)
    await conn.execute(f"ANALYZE {tables.points.quoted()}")
    percents: list[object] = []

    async def fetch(_conn: Connection, statement: Sql) -> list[dict[str, int]]:
        percents.append(statement.render()[1][-1])
        return [{"sampled": 1_000, "matching": int(1_000 * part)}]

    monkeypatch.setattr("service.stores.postgres.estimates.rows.fetch", fetch)
    condition = filter_sql(_below(part * _POINTS), tables.row)
    share = await Estimates().share(conn, tables, condition)
    assert share.matching == part
    assert len(percents) == 1 + is_unsure
    assert sorted(percents, key=str) == sorted(set(percents), key=str)


async def test_what_was_measured_is_kept_for_a_while(conn: Connection) -> None:
    """The same condition costs nothing until its time is over; another one is another."""
    now = [0.0]
    estimates = Estimates(seconds=30, clock=lambda: now[0])
    tables = await catalog.get(conn, NAME)
    every = filter_sql(_below(_POINTS), tables.row)
    first = await estimates.share(conn, tables, every)
    assert first.matching == 1
    now[0] = 29.0
    assert await estimates.share(conn, tables, filter_sql(_below(_POINTS), tables.row)) is first
    assert (await estimates.share(conn, tables, filter_sql(_below(0), tables.row))).matching == 0
    now[0] = 31.0
    assert await estimates.share(conn, tables, every) is not first


async def test_an_index_is_noticed_after_a_while(module_database_url: str) -> None:
    """That there is none is kept as well; then it is looked for again."""
    now = [0.0]
    estimates = Estimates(seconds=30, clock=lambda: now[0])
    database = await Database.open(module_database_url)
    store = PgStore(database, index_min_rows=1)
    params = VectorParams(size=1, distance=Distance.DOT)
    await store.create_collection("small", CreateCollection(vectors=params))
    await store.apply("small", Upsert([Point(1, {"": np.ones(1, np.float32)}, {})]), wait=True)
    async with database.connection() as conn:
        vector = (await catalog.get(conn, "small")).vectors[""]
        assert not await estimates.is_indexed(conn, vector)
        assert await store.build_indexes("small") == [""]
        now[0] = 29.0
        assert not await estimates.is_indexed(conn, vector)
        now[0] = 31.0
        assert await estimates.is_indexed(conn, vector)
    await store.delete_collection("small")
    await database.close()


def _below(bound: float) -> Filter:
    return Filter(must=[FieldCondition(key="n", range=Range(lt=bound))])
