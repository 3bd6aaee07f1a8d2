"""SQL indexes follow the payload schema, serve the filters that they are made for and refuse no payload."""

import asyncio
from typing import Any

import numpy as np
import pytest

from service.errors import ConfigurationError
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, Filter, ScrollRequest, VectorParams
from service.stores.postgres import catalog, payload_indexes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Database
from service.stores.postgres.payload_indexes import sync_indexes
from service.stores.postgres.store import PgStore
from service.translate.filters import filter_sql
from service.translate.sql import Identifier, sql

NAME = "indexed"
_SCHEMA: dict[str, Any] = {
    "word": "keyword",
    "count": {"type": "integer", "lookup": True},
    "price": "float",
    "at": "datetime",
    "id": "uuid",
    "place.here": "geo",
    "said": {"type": "text", "min_token_len": 2},
}
_SERVED: dict[str, dict[str, Any]] = {
    "word": {"match": {"value": "w7"}},
    "count": {"range": {"gte": 7, "lt": 8}},
    "price": {"range": {"gt": 6.9, "lt": 7.1}},
    "at": {"range": {"gte": "2024-01-08", "lt": "2024-01-09"}},
    "id": {"match": {"value": f"urn:uuid:{7:08x}-0000-4000-8000-000000000000"}},
    "place.here": {"geo_radius": {"center": {"lon": 7, "lat": 7}, "radius": 1000}},
    "said": {"match": {"text": "Number7"}},
}
_VALUES = len(_SERVED) * 4


def payload(number: int) -> dict[str, Any]:
    """Return a payload that says its number, up to 27, in every field."""
    part = number % _VALUES
    return {
        "word": f"w{part}",
        "count": part,
        "price": float(part),
        "at": f"2024-01-{part + 1:02d}T01:00:00Z",
        "id": f"{part:08x}-0000-4000-8000-000000000000",
        "place": {"here": {"lon": part, "lat": part}},
        "said": f"this is number{part}",
    }


@pytest.fixture
async def store(database: Database) -> PgStore:
    """A store with a collection of points that have a value in every field."""
    opened = PgStore(database)
    params = VectorParams(size=1, distance=Distance.DOT)
    await opened.create_collection(NAME, CreateCollection(vectors=params))
    await upsert(opened, [payload(number) for number in range(2_000)])
    return opened


async def upsert(store: PgStore, payloads: list[dict[str, Any]]) -> None:
    """Write points with these payloads, the first has id 0."""
    vector = np.ones(1, np.float32)
    points = [Point(number, {"": vector}, given) for number, given in enumerate(payloads)]
    await store.apply(NAME, Upsert(points), wait=True)


async def described(database: Database, schema: dict[str, Any]) -> CollectionTables:
    """Give the collection a payload schema."""
    async with database.transaction() as conn:
        tables = await catalog.get(conn, NAME)
        await catalog.describe(conn, tables.id, schema)
        return await catalog.get(conn, NAME)


async def present(database: Database) -> dict[str, bool]:
    """Return the indexes of the points, beside the primary key, and whether they are valid."""
    async with database.connection() as conn:
        rows = await conn.fetch(
            "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE NOT i.indisprimary AND i.indrelid ="
            " (SELECT format('vecferry_data.points_%s', id)::regclass FROM vecferry.collections)"
        )
    return {row["relname"]: row["indisvalid"] for row in rows}


async def test_every_index_serves_its_filter(store: PgStore, database: Database) -> None:
    """The planner reads it, and what is answered stays the same."""
    conditions = {
        key: Filter.model_validate({"must": [{"key": key, **test}]})
        for key, test in _SERVED.items()
    }
    tables = await described(database, _SCHEMA)
    before = {key: await found(store, wanted) for key, wanted in conditions.items()}
    made = await sync_indexes(database, tables)
    assert len(made) == len(set(made)) == 1 + 2 * 5 + 1
    for key, wanted in conditions.items():
        assert await found(store, wanted) == before[key]
        assert len(before[key]) == 2_000 // _VALUES + 1, key
        assert "Seq Scan" not in await explained(database, tables, wanted), key


async def found(store: PgStore, wanted: Filter) -> list[Any]:
    """Return the ids of the points that match."""
    page = await store.scroll(NAME, ScrollRequest(filter=wanted, limit=2_000))
    return [record.id for record in page.records]


async def explained(database: Database, tables: CollectionTables, wanted: Filter) -> str:
    """Return how the points that match are found."""
    condition = filter_sql(wanted, tables.row)
    points = tables.points
    text, arguments = sql("EXPLAIN SELECT FROM ", points, " AS p WHERE ", condition).render()
    async with database.connection() as conn:
        return "\n".join(row[0] for row in await conn.fetch(text, *arguments))


async def test_what_was_built_is_analysed(store: PgStore, database: Database) -> None:
    """Without statistics of an expression the planner guesses that it is hardly selective."""
    tables = await described(database, _SCHEMA)
    made = await sync_indexes(database, tables)
    async with database.connection() as conn:
        known = await conn.fetch(
            "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'vecferry_data'"
        )
    assert known
    assert {row["tablename"] for row in known} & set(made)


async def test_indexes_follow_the_schema(store: PgStore, database: Database) -> None:
    """Again does nothing; what is no longer asked for goes, what is new comes, the rest stays."""
    tables = await described(database, _SCHEMA)
    await sync_indexes(database, tables)
    before = await present(database)
    assert await sync_indexes(database, tables) == []
    fewer = {"word": "keyword", "place.here": "geo", "other": "bool", "said": "text"}
    changed = await sync_indexes(database, await described(database, fewer))
    after = await present(database)
    assert len(after) == 1 + 2 + 1
    assert len(before.keys() & after.keys()) == 3, "equality and places were there"
    assert set(changed) == before.keys() ^ after.keys()
    await sync_indexes(database, await described(database, {}))
    assert await present(database) == {}


async def test_what_a_failed_build_left_is_made_anew(store: PgStore, database: Database) -> None:
    """An invalid index serves nobody."""
    tables = await described(database, {"word": "keyword", "price": "float"})
    made = await sync_indexes(database, tables)
    async with database.connection() as conn:
        await conn.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)",
            f"vecferry_data.{made[1]}",
        )
    assert (await present(database))[made[1]] is False
    assert set(await sync_indexes(database, tables)) == {made[1]}
    assert await present(database) == dict.fromkeys(made, True)


async def test_instances_take_turns(store: PgStore, database: Database) -> None:
    """Of several at once one builds, and none takes another's half-built index for a failed one."""
    tables = await described(database, _SCHEMA)
    made = await asyncio.gather(*(sync_indexes(database, tables) for _ in range(3)))
    assert sorted(len(names) for names in made) == [0, 0, 12]
    assert all((await present(database)).values())


async def test_writers_do_not_wait(store: PgStore, database: Database) -> None:
    """Points can be written while the indexes are built."""
    tables = await described(database, _SCHEMA)
    async with asyncio.TaskGroup() as tasks:
        build = tasks.create_task(sync_indexes(database, tables))
        while not build.done():
            async with asyncio.timeout(2):
                await upsert(store, [{"word": "now"}])
    wanted = Filter.model_validate({"must": {"key": "word", "match": {"value": "now"}}})
    assert await found(store, wanted) == [0]


async def test_no_payload_is_refused(store: PgStore, database: Database) -> None:
    """Values of other types, far out of range or too long for an index entry are stored all the same."""
    await sync_indexes(database, await described(database, _SCHEMA))
    odd: list[Any] = [
        *(None, True, 1e308, -1e308, 5e-324, 2**64 - 1, "", "x" * 20_000, "\u2603", [], {}),
        *("99999-99-99", "-0001-01-01T00:00:00Z", "urn:uuid:", {"lon": 1e300, "lat": 0}),
        *(
            {"lon": "x", "lat": []},
            {"lon": 181, "lat": 91},
            [[1]],
            {"here": [{"lon": 1, "lat": 2}]},
        ),
        [*range(2_000)],
    ]
    await upsert(store, [dict.fromkeys([*_SCHEMA, "place"], value) for value in odd])
    page = await store.scroll(NAME, ScrollRequest(limit=len(odd)))
    assert [(record.payload or {})["place"] for record in page.records] == odd


async def test_a_pooler_is_not_asked_to_build(
    store: PgStore, database: Database, database_url: str
) -> None:
    """A concurrent build needs a session; where nothing is missing nothing is said."""
    pooled = await Database.open(database_url, pooled=True)
    tables = await described(database, {"word": "keyword"})
    with pytest.raises(ConfigurationError):
        await sync_indexes(pooled, tables)
    await sync_indexes(database, tables)
    assert await sync_indexes(pooled, tables) == []
    await pooled.close()


def test_names_fit() -> None:
    """Postgres takes 63 characters, a field has any number."""
    config = CreateCollection(vectors={})
    points = Identifier(("vecferry_data", f"points_{2**63 - 1}"))
    schema = {"x" * 500: "float", '"it\'s"': "float", "a[].b": "float", "a[]": "text"}
    tables = CollectionTables(2**63 - 1, NAME, config, points, {}, schema)
    definitions = payload_indexes.definitions(tables)
    assert all(len(name) <= 63 for name in definitions)
    assert len(definitions) == 2 + 2 + 1
