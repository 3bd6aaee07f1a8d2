"""The choice between the exact scan and the index, and that the index never answers short."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from service.errors import Unsupported
from service.model.operations import ByIds, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CreateCollection,
    Distance,
    Filter,
    HasIdCondition,
    QueryRequest,
    SearchParams,
    VectorParams,
)
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.database import Database, Limits
from service.stores.postgres.reads import Shape
from service.stores.postgres.search import Search, statement
from service.stores.postgres.store import PgStore
from service.stores.postgres.vectors import stored
from service.translate.sql import TRUE

NAME = "things"
_POINTS = 2_000
_SIZE = 16
_BARE = Shape(None, None)


@pytest.fixture
async def indexed(database: Database, database_url: str) -> AsyncIterator[Database]:
    """A pool whose planner takes the index where it can, as it would with more rows."""
    await _always(database, "enable_seqscan", "off")
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def store(request: pytest.FixtureRequest, indexed: Database) -> PgStore:
    """A store with an indexed collection of random vectors; cosine unless a test says otherwise."""
    opened = PgStore(indexed, index_min_rows=_POINTS)
    params = VectorParams(size=_SIZE, distance=getattr(request, "param", Distance.COSINE))
    await opened.create_collection(NAME, CreateCollection(vectors=params))
    random = np.random.default_rng(7).standard_normal((_POINTS, _SIZE)).astype(np.float32)
    points = [Point(number, {"": vector}, {"n": number}) for number, vector in enumerate(random)]
    await opened.apply(NAME, Upsert(points), wait=True)
    assert await opened.build_indexes(NAME) == [""]
    return opened


@pytest.mark.parametrize("store", list(Distance), ids=str, indirect=True)
async def test_the_index_finds_what_the_scan_finds(store: PgStore) -> None:
    """Nearly the same hits, with the very same scores, best first."""
    query = [0.5] * _SIZE
    exact = await store.query(
        NAME, QueryRequest(query=query, limit=50, params=SearchParams(exact=True))
    )
    found = await store.query(NAME, QueryRequest(query=query, limit=50))
    scores = {hit.id: hit.score for hit in exact}
    common = [hit.id for hit in found if scores.get(hit.id) == hit.score]
    assert len(common) >= 48
    assert common == [hit.id for hit in exact if hit.id in set(common)]


@pytest.mark.parametrize("limit", [300, 980, 1_200])
async def test_a_deep_search_is_never_short(store: PgStore, limit: int) -> None:
    """The default breadth of 40 would return 40; deleted neighbours do not count either."""
    nearest = await store.query(NAME, QueryRequest(query=[0.5] * _SIZE, limit=500))
    await store.apply(NAME, Delete(ByIds(tuple(hit.id for hit in nearest))), wait=True)
    found = await store.query(NAME, QueryRequest(query=[0.5] * _SIZE, limit=limit, offset=10))
    assert len(found) == limit
    assert not {hit.id for hit in nearest} & {hit.id for hit in found}


async def test_an_index_that_gives_up_is_not_the_answer(
    store: PgStore, database_url: str, database: Database
) -> None:
    """When the index stops beside deleted neighbours, the scan answers."""
    nearest = await store.query(NAME, QueryRequest(query=[0.5] * _SIZE, limit=_POINTS - 100))
    await store.apply(NAME, Delete(ByIds(tuple(hit.id for hit in nearest))), wait=True)
    await _always(database, "hnsw.max_scan_tuples", "1")
    impatient = await Database.open(database_url)
    found = await PgStore(impatient).query(NAME, QueryRequest(query=[0.5] * _SIZE, limit=20))
    await impatient.close()
    assert len(found) == 20


async def test_a_filter_is_answered_exactly(store: PgStore) -> None:
    """Few matches far from the query are all found."""
    wanted = Filter(must=[HasIdCondition(has_id=[5, 6, 7])])
    found = await store.query(NAME, QueryRequest(query=[0.5] * _SIZE, filter=wanted))
    assert {hit.id for hit in found} == {5, 6, 7}


async def test_a_plain_search_uses_the_index_and_an_exact_one_does_not(store: PgStore) -> None:
    """The plans say so."""
    async with store._database.transaction() as conn:
        tables = await catalog.get(conn, NAME)
        plans = {}
        for exact in (False, True):
            text, arguments = statement(tables, _search(tables), _BARE, exact=exact).render()
            rows = await conn.fetch("EXPLAIN " + text, *arguments)
            plans[exact] = "\n".join(row[0] for row in rows)
    assert "_hnsw" in plans[False]
    assert "_hnsw" not in plans[True]
    assert (await store.collection_info(NAME)).indexed_vectors_count == _POINTS


async def _always(database: Database, setting: str, value: str) -> None:
    """Change a default for all connections made from now on."""
    async with database.connection() as conn:
        name = await conn.fetchval("SELECT quote_ident(current_database())")
        await conn.execute(f"ALTER DATABASE {name} SET {setting} = {value}")


def _search(tables: catalog.CollectionTables) -> Search:
    table = tables.vectors[""]
    vector = stored(table, np.full(_SIZE, 0.5, dtype=np.float32))
    return Search(table, vector, TRUE, None, limit=10, offset=0, threshold=None, ef=100)


async def test_an_invalid_index_is_built_anew(store: PgStore, database: Database) -> None:
    """What a stopped build left behind is neither used nor in the way."""
    async with database.connection() as conn:
        tables = await catalog.get(conn, NAME)
        await conn.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)",
            tables.vectors[""].index.quoted(),
        )
        assert not await hnsw.has_index(conn, tables.vectors[""])
    assert await store.build_indexes(NAME) == [""]
    assert await store.build_indexes(NAME) == []


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "ACCESS SHARE"])
async def test_a_build_outwaits_the_limits_of_requests(
    store: PgStore, database: Database, database_url: str, mode: str
) -> None:
    """Neither the count (held up by the first lock) nor the drop of an old index (by the second) times out."""
    limits = Limits(command=0.3, lock=0.2)
    hurried = await Database.open(database_url, limits=limits)
    async with database.connection() as conn:
        tables = await catalog.get(conn, NAME)
        vector = tables.vectors[""]
        await conn.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)",
            vector.index.quoted(),
        )
    async with asyncio.TaskGroup() as tasks, database.transaction() as conn:
        await conn.execute(f"LOCK TABLE {vector.table.quoted()} IN {mode} MODE")
        build = tasks.create_task(hnsw.build_indexes(hurried, tables))
        await asyncio.sleep(0.8)
        assert not build.done()
    assert build.result() == [""]
    async with hurried.connection() as conn:
        assert await conn.fetchval("SHOW lock_timeout") == "200ms"
    await hurried.close()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("prefetch", {"prefetch": {"query": [1.0]}, "query": {"fusion": "rrf"}}),
        ("query.recommend", {"query": {"recommend": {"positive": [1]}}}),
        ("query.order_by", {"query": {"order_by": "n"}}),
        ("query.sample", {"query": {"sample": "random"}}),
        ("query.mmr", {"query": {"nearest": [1.0], "mmr": {}}}),
        ("lookup_from", {"query": 1, "lookup_from": {"collection": "other"}}),
        ("shard_key", {"query": [1.0], "shard_key": "eu"}),
    ],
)
async def test_what_is_not_answered_is_named(
    database: Database, path: str, body: dict[str, object]
) -> None:
    """The error says where in the request it stands."""
    opened = PgStore(database)
    params = VectorParams(size=1, distance=Distance.DOT)
    await opened.create_collection(NAME, CreateCollection(vectors=params))
    with pytest.raises(Unsupported) as caught:
        await opened.query(NAME, QueryRequest.model_validate(body))
    assert caught.value.path == path


def test_memory_for_a_build_grows_with_the_rows() -> None:
    """100,000 rows of 384 dimensions need about 2.4 kB each (measured), and no build takes all memory."""
    assert 240 < hnsw.build_megabytes(100_000, 384) < 360
    assert hnsw.build_megabytes(10, 384) == 64
    assert hnsw.build_megabytes(10**9, 384) == 4_096
