"""Nearest-neighbour searches: both ways answer alike, never short, and go the way that the plan says."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock, Mock

import numpy as np
import pytest

from service.model.operations import ByIds, Delete, Upsert
from service.model.points import FloatArray, Hit, Point
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    Distance,
    FieldCondition,
    Filter,
    HasIdCondition,
    Range,
    SearchParams,
    VectorParams,
)
from service.model.queries import ByVector, Nearest
from service.queries.leaves import Selection
from service.stores.postgres import catalog, hnsw, plan, rows
from service.stores.postgres.candidates import Search
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database, Limits
from service.stores.postgres.estimates import Estimates, Share
from service.stores.postgres.nearest import chosen, nearest, search_of, statement
from service.stores.postgres.plan import Graph, Plan, Reason, Scan
from service.stores.postgres.shapes import Shape
from service.stores.postgres.store import PgStore
from service.translate.sql import sql

_POINTS = 2_000
_SIZE = 16
_QUERY = np.full(_SIZE, 0.5, dtype=np.float32)
_BARE = Shape(None, None)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Indexed:
    """An indexed collection of random vectors, and a connection outside a transaction."""

    store: PgStore
    name: str
    conn: Connection

    async def tables(self) -> CollectionTables:
        """Return its tables."""
        return await catalog.get(self.conn, self.name)

    async def searched(self, query: FloatArray = _QUERY, **selection: Any) -> Sequence[Hit]:
        """Return what a search finds; of ten points unless it says otherwise."""
        wanted = ByVector(Nearest(query))
        asked = Selection(**({"limit": 10} | selection))
        return await nearest(self.conn, await self.tables(), wanted, asked)

    async def search(self, selection: Selection) -> Search:
        """Return a search for the usual vector."""
        return search_of(await self.tables(), ByVector(Nearest(_QUERY)), selection)


@pytest.fixture
async def database(module_database_url: str) -> AsyncIterator[Database]:
    """A pool on the database that the tests share."""
    opened = await Database.open(module_database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def indexed(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Indexed]:
    """A collection that is only read; float32 and cosine unless a test says otherwise."""
    given = getattr(request, "param", {"distance": Distance.COSINE})
    async for made in _indexed(database, f"nearest {sorted(given.items())}", given):
        yield made


@pytest.fixture
async def own(database: Database) -> AsyncIterator[Indexed]:
    """A collection of the test's own, which it may change."""
    async for made in _indexed(
        database, f"nearest {next(_numbers)}", {"distance": Distance.COSINE}
    ):
        yield made


async def _indexed(database: Database, name: str, given: dict[str, Any]) -> AsyncIterator[Indexed]:
    store = PgStore(database, index_min_rows=_POINTS)
    if not await store.has_collection(name):
        params = VectorParams(**({"size": _SIZE} | given))
        await store.create_collection(name, CreateCollection(vectors=params))
        vectors = np.random.default_rng(7).standard_normal((_POINTS, params.size))
        if params.datatype is Datatype.UINT8:
            vectors = np.floor(np.abs(vectors) * 80)
        points = [
            Point(number, {"": vector}, {"n": number})
            for number, vector in enumerate(vectors.astype(np.float32))
        ]
        await store.apply(name, Upsert(points), wait=True)
        assert await store.build_indexes(name) == [""]
        async with database.connection() as conn:
            await conn.execute("ANALYZE")
    async with database.connection() as conn:
        yield Indexed(store, name, conn)


def below(bound: float) -> Filter:
    """Return a filter that the points with smaller numbers match."""
    return Filter(must=[FieldCondition(key="n", range=Range(lt=bound))])


@pytest.mark.parametrize(
    "indexed",
    [
        *({"distance": distance} for distance in Distance),
        *({"distance": distance, "datatype": Datatype.FLOAT16} for distance in Distance),
        *({"distance": distance, "datatype": Datatype.UINT8} for distance in Distance),
        {"distance": Distance.COSINE, "size": 2_100},
        {"distance": Distance.EUCLID, "size": 2_100, "datatype": Datatype.FLOAT16},
    ],
    ids=str,
    indirect=True,
)
async def test_the_index_finds_what_the_scan_finds(indexed: Indexed) -> None:
    """Nearly the same hits, with the very same scores, best first; of every kind that has an index."""
    table = (await indexed.tables()).vectors[""]
    query = np.resize(np.array([90, 3, 40, 7, 0], dtype=np.float32), table.size)
    exact = await indexed.searched(query, limit=50, params=SearchParams(exact=True))
    found = await indexed.searched(query, limit=50, params=SearchParams(hnsw_ef=400))
    scores = {hit.id: hit.score for hit in exact}
    common = [hit.id for hit in found if scores.get(hit.id) == hit.score]
    assert len(common) >= 47
    assert common == [hit.id for hit in exact if hit.id in set(common)]


@pytest.mark.parametrize("limit", [300, 980, 1_200])
async def test_a_deep_search_is_never_short(own: Indexed, limit: int) -> None:
    """The default breadth of 40 would return 40; deleted neighbours do not count either."""
    best = await own.searched(limit=500)
    await own.store.apply(own.name, Delete(ByIds(tuple(hit.id for hit in best))), wait=True)
    found = await own.searched(limit=limit, offset=10)
    assert len(found) == limit
    assert not {hit.id for hit in best} & {hit.id for hit in found}


async def test_an_index_that_gives_up_is_not_the_answer(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what matches lies far from the query, and was taken for half of all, the scan finds it."""
    # In a collection this small the least walk would reach every point.
    monkeypatch.setattr(plan, "_LEAST_WALK", 1)
    far = tuple(hit.id for hit in (await indexed.searched(limit=_POINTS))[-30:])
    selection = Selection(limit=10, filter=Filter(must=[HasIdCondition(has_id=list(far))]))
    wrong = Mock(Estimates, is_indexed=AsyncMock(return_value=True))
    wrong.share = AsyncMock(return_value=Share(100_000_000, 0.5))
    search = await indexed.search(selection)
    impatient = statement(search, await chosen(indexed.conn, search, wrong), _BARE)
    assert len(await rows.fetch(indexed.conn, impatient)) < 10
    wanted = ByVector(Nearest(_QUERY))
    found = await nearest(indexed.conn, await indexed.tables(), wanted, selection, wrong)
    assert [hit.id for hit in found] == list(far[:10])


async def test_a_filter_leaves_nothing_out(indexed: Indexed) -> None:
    """Few matches far from the query are all found, and no more."""
    found = await indexed.searched(filter=Filter(must=[HasIdCondition(has_id=[5, 6, 7])]))
    assert {hit.id for hit in found} == {5, 6, 7}


@pytest.mark.parametrize("bound", [3, 200, 1_000, 1_900])
async def test_a_filtered_search_is_full(indexed: Indexed, bound: int) -> None:
    """Whichever way it goes, it has the best of the matching points."""
    found = await indexed.searched(filter=below(bound), limit=20)
    exact = await indexed.searched(filter=below(bound), limit=20, params=SearchParams(exact=True))
    assert len(found) == len(exact) == min(bound, 20)
    assert len({hit.id for hit in found} & {hit.id for hit in exact}) >= 0.9 * len(exact)


async def test_some_points_are_taken_and_some_are_left_out(indexed: Indexed) -> None:
    """``among`` and ``excluded`` restrict both ways."""
    best = [hit.id for hit in await indexed.searched(limit=5)]
    assert [hit.id for hit in await indexed.searched(limit=4, excluded=tuple(best[:1]))] == best[1:]
    found = await indexed.searched(among=(*best[1:3], 10**9), excluded=tuple(best[:1]))
    assert [hit.id for hit in found] == best[1:3]


@pytest.mark.parametrize("is_exact", [False, True])
@pytest.mark.parametrize(
    "indexed", [{"distance": Distance.DOT}, {"distance": Distance.EUCLID}], ids=str, indirect=True
)
async def test_a_threshold_is_strict(indexed: Indexed, is_exact: bool) -> None:
    """A score that equals it does not pass; the offset counts from the best of all."""
    params = SearchParams(exact=is_exact)
    best = await indexed.searched(params=params)
    threshold = best[5].score
    passing = await indexed.searched(params=params, score_threshold=threshold, offset=1)
    assert [hit.id for hit in passing] == [hit.id for hit in best[1:5]]


async def test_a_kept_statement_searches_for_the_vector_at_hand(indexed: Indexed) -> None:
    """Searches that differ in the vector alone share a statement; those that differ in more do not."""
    vectors = np.random.default_rng(3).standard_normal((3, _SIZE)).astype(np.float32)
    wanted = [Filter(must=[FieldCondition(key="n", range=Range(lt=lt))]) for lt in (40, 80)]
    selections: list[dict[str, Any]] = [
        {"filter": wanted[0]},
        {"filter": wanted[1]},
        {"filter": wanted[1], "offset": 3},
    ]
    for _ in range(2):
        for vector in vectors:
            first, second, later = [await indexed.searched(vector, **one) for one in selections]
            among = await indexed.searched(vector, among=tuple(range(40)))
            assert [hit.id for hit in first] == [hit.id for hit in among]
            assert [hit.id for hit in second[3:]] == [hit.id for hit in later[:7]]
            assert first != second


@pytest.mark.parametrize("excluded", [(), (3, 1_998)])
@pytest.mark.parametrize("wanted", [below(300), below(7), below(0)])
async def test_collected_keys_find_what_the_join_finds(
    indexed: Indexed, wanted: Filter, excluded: tuple[int, ...]
) -> None:
    """Only the way to the vectors differs: all matching keys at once, in their order."""
    search = await indexed.search(Selection(limit=10, filter=wanted, excluded=excluded))
    joined, collected = [
        await rows.fetch(indexed.conn, statement(search, Scan(Reason.FEW, way), _BARE))
        for way in (False, True)
    ]
    assert [tuple(row.values()) for row in collected] == [tuple(row.values()) for row in joined]
    assert "(key = ANY (" in await _explained(indexed, wanted, Scan(Reason.FEW, collected=True))
    assert "(key = ANY (" not in await _explained(indexed, wanted, Scan(Reason.FEW))


async def test_the_plan_is_what_the_planner_does(indexed: Indexed) -> None:
    """The index is read when it was chosen, and only then, whatever is thought of the filter."""
    for wanted in (None, below(10), below(1_900)):
        graph = await _explained(indexed, wanted, Graph(Reason.MANY, 100, 2_000))
        scan = await _explained(indexed, wanted, Scan(Reason.FEW))
        assert "_hnsw" in graph
        assert "_hnsw" not in scan


async def _explained(indexed: Indexed, wanted: Filter | None, way: Plan) -> str:
    search = await indexed.search(Selection(limit=10, filter=wanted))
    text, arguments = statement(search, way, _BARE).render()
    return "\n".join(row[0] for row in await indexed.conn.fetch("EXPLAIN " + text, *arguments))


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        (Selection(limit=10), Reason.UNFILTERED),
        (Selection(limit=10, filter=below(1_900)), Reason.MANY),
        (Selection(limit=10, filter=below(20)), Reason.CHEAPER),
        (Selection(limit=10, filter=Filter(must=[])), Reason.UNFILTERED),
        (Selection(limit=10, params=SearchParams(exact=True)), Reason.ASKED),
        (Selection(limit=10, among=(1, 2)), Reason.GIVEN),
        (Selection(limit=1_000), Reason.TOO_DEEP),
    ],
)
async def test_the_way_that_is_chosen(
    indexed: Indexed, selection: Selection, reason: Reason
) -> None:
    """Request and data decide."""
    choice = await chosen(indexed.conn, await indexed.search(selection), Estimates())
    assert choice.reason is reason


async def test_settings_are_those_of_the_plan(indexed: Indexed) -> None:
    """They are in force when the index is read."""
    set_as_planned = sql(
        "current_setting('hnsw.ef_search') = '321' AND current_setting('hnsw.max_scan_tuples') = '4321'"
        " AND current_setting('hnsw.iterative_scan') = 'relaxed_order'"
    )
    wanted = ByVector(Nearest(_QUERY))
    search = search_of(await indexed.tables(), wanted, Selection(limit=10), set_as_planned)
    for way, count in ((Graph(Reason.MANY, 321, 4_321), 10), (Graph(Reason.MANY, 100, 2_000), 0)):
        assert len(await rows.fetch(indexed.conn, statement(search, way, _BARE))) == count


async def test_settings_end_with_the_statement(indexed: Indexed) -> None:
    """Nothing is left on the connection, which a pooler may hand to anybody."""
    assert len(await indexed.searched(limit=60)) == 60
    assert await indexed.conn.fetchval("SHOW hnsw.iterative_scan") == "off"
    assert await indexed.conn.fetchval("SHOW hnsw.ef_search") == "40"


async def test_an_invalid_index_is_built_anew(own: Indexed) -> None:
    """What a stopped build left behind is neither used nor in the way."""
    await _invalidate(own)
    choice = await chosen(own.conn, await own.search(Selection(limit=10)), Estimates())
    assert choice.reason is Reason.NO_INDEX
    assert await own.store.build_indexes(own.name) == [""]
    assert await own.store.build_indexes(own.name) == []
    assert (await own.store.collection_info(own.name)).indexed_vectors_count == _POINTS


async def _invalidate(own: Indexed) -> None:
    await own.conn.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)",
        (await own.tables()).vectors[""].index.quoted(),
    )


@pytest.mark.parametrize("mode", ["ACCESS EXCLUSIVE", "ACCESS SHARE"])
async def test_a_build_outwaits_the_limits_of_requests(
    own: Indexed, database: Database, module_database_url: str, mode: str
) -> None:
    """Neither the count (held up by the first lock) nor the drop of an old index (by the second) times out."""
    limits = Limits(command=0.3, lock=0.2)
    hurried = await Database.open(module_database_url, limits=limits)
    await _invalidate(own)
    tables = await own.tables()
    async with asyncio.TaskGroup() as tasks, database.transaction() as conn:
        await conn.execute(f"LOCK TABLE {tables.vectors[''].table.quoted()} IN {mode} MODE")
        build = tasks.create_task(hnsw.build_indexes(hurried, tables))
        await asyncio.sleep(0.8)
        assert not build.done()
    assert [index.vector for index in build.result()] == [""]
    async with hurried.connection() as conn:
        assert await conn.fetchval("SHOW lock_timeout") == "200ms"
    await hurried.close()
