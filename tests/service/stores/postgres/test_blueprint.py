"""The dry run shows what is really made, and says what cannot be."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from service.errors import Unsupported
from service.model.points import Record, SparseVector
from service.model.qdrant import CreateCollection
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.blueprint import Blueprint, Subject, blueprint
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.hnsw import BuildLimits
from service.stores.postgres.payload_indexes import sync_indexes

_CONFIG = {
    "vectors": {
        "small": {"size": 8, "distance": "Cosine"},
        "half": {"size": 8, "distance": "Dot", "datatype": "float16"},
        "wide": {"size": 3000, "distance": "Cosine"},
        "long": {"size": 3000, "distance": "Euclid"},
        "huge": {"size": 5000, "distance": "Cosine"},
        "off": {"size": 8, "distance": "Dot", "hnsw_config": {"m": 0}},
        "many": {"size": 8, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
    },
    "sparse_vectors": {"words": {}},
    "quantization_config": {"scalar": {"type": "int8"}},
}
_SCHEMA = {
    "city": "keyword",
    "price": "float",
    "at": "datetime",
    "items[].price": "float",
    "text": {"type": "text", "tokenizer": "multilingual"},
}
_DEFINITIONS = """
    SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'vecferry_data'::regnamespace)
    UNION ALL
    SELECT format('%s.%s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attstorage)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'vecferry_data'::regnamespace AND relkind = 'r' AND attnum > 0
"""


def _subject(points: int = 0) -> Subject:
    record = Record(
        1,
        {"city": "x" * 100},
        {
            "small": np.zeros(8, np.float32),
            "words": SparseVector(np.arange(50, dtype=np.uint32), np.ones(50, np.float32)),
        },
    )
    config = CreateCollection.model_validate(_CONFIG)
    return Subject("c", config, _SCHEMA, points, [record])


async def _planned(database: Database, points: int = 0, *, min_rows: int = 0) -> Blueprint:
    return await blueprint(
        database, _subject(points), min_rows=min_rows, limits=BuildLimits(megabytes=100)
    )


async def _definitions(conn: Connection) -> list[str]:
    return sorted(row["definition"] for row in await conn.fetch(_DEFINITIONS))


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    """A connection outside any transaction."""
    async with database.connection() as connection:
        yield connection


async def test_run_by_hand_it_is_what_is_made(database: Database, conn: Connection) -> None:
    """Tables, types, storage and all indexes, to the letter."""
    plan = await _planned(database)
    assert not plan.exists
    for statement in (*plan.tables, *plan.indexes):
        await conn.execute(statement)
    by_hand = await _definitions(conn)
    assert len(by_hand) > 30
    await conn.execute("DROP SCHEMA vecferry_data CASCADE; CREATE SCHEMA vecferry_data")
    async with database.transaction() as connection:
        tables = await catalog.create(connection, "c", _subject().config)
        await catalog.describe(connection, tables.id, _SCHEMA)
        tables = await catalog.get(connection, "c")
    await sync_indexes(database, tables)
    await hnsw.build_indexes(database, tables)
    assert await _definitions(conn) == by_hand
    again = await _planned(database)
    assert again.exists
    assert (again.tables, again.indexes) == (plan.tables, plan.indexes)


async def test_it_changes_nothing(database: Database, conn: Connection) -> None:
    """Not even the next number."""
    first, second = await _planned(database), await _planned(database)
    assert first == second
    assert await _definitions(conn) == []
    assert await conn.fetchval("SELECT count(*) FROM vecferry.collections") == 0


async def test_the_notes_say_why(database: Database) -> None:
    """Types, what has no index, what is not carried over, what memory is missing."""
    notes = "\n".join((await _planned(database, 1_000_000)).notes)
    for said in (
        "number, 1, is the next free one",
        "vector `half`: halfvec(8), which holds float16 exactly",
        "vector `small`: an HNSW index\n",
        "vector `wide`: an HNSW index in half precision",
        "vector `long`: no HNSW index, every search scans: 3000 dimensions are more than 2000",
        "vector `huge`: no HNSW index, every search scans: 5000 dimensions are more than 4000",
        "vector `off`: no HNSW index, every search scans: the collection asks for none",
        "vector `many`: no HNSW index",
        "vector `words`: exact, over its inverted index",
        "quantization is not carried over",
        "field `items[].price`: no SQL index",
        "field `text`: text matches are refused",
        "would get 100: the build spills",
    ):
        assert said in notes
    small = "\n".join((await _planned(database, 99, min_rows=100)).notes)
    assert "an HNSW index from 100 points on" in small


async def test_sizes_are_near_what_is_really_there(database: Database, conn: Connection) -> None:
    """Within a fifth, for a collection of one vector and small payloads."""
    config = CreateCollection.model_validate({"vectors": {"size": 96, "distance": "Dot"}})
    payload = {"city": "y" * 60, "n": 12345}
    subject = Subject("c", config, {}, 5000, [Record(1, payload, {"": np.zeros(96, np.float32)})])
    plan = await blueprint(database, subject, min_rows=1, limits=BuildLimits())
    async with database.transaction() as connection:
        tables = await catalog.create(connection, "c", config)
        await connection.execute(
            f"INSERT INTO {tables.points.quoted()} SELECT decode(lpad(to_hex(n), 34, '0'), 'hex'), $1, false, 1"
            " FROM generate_series(1, 5000) AS n",
            payload,
        )
        await connection.execute(
            f"INSERT INTO {tables.vectors[''].table.quoted()} SELECT decode(lpad(to_hex(n), 34, '0'), 'hex'),"
            " (SELECT array_agg(random()) FROM generate_series(1, 96) WHERE n > 0)::vector"
            " FROM generate_series(1, 5000) AS n",
        )
    await hnsw.build_indexes(database, tables)
    graph = await conn.fetchval("SELECT pg_relation_size($1)", tables.vectors[""].index.quoted())
    total = 0
    for table in (tables.points, tables.vectors[""].table):
        total += await conn.fetchval("SELECT pg_total_relation_size($1)", table.quoted())
    assert plan.table_bytes == pytest.approx(total - graph, rel=0.2)
    assert plan.index_bytes == pytest.approx(graph, rel=0.2)


async def test_what_cannot_be_held_is_refused_with_its_place(database: Database) -> None:
    """As arming it would be."""
    config = CreateCollection.model_validate(
        {"vectors": {"v": {"size": 20_000, "distance": "Dot"}}}
    )
    subject = Subject("c", config, {}, 1)
    with pytest.raises(Unsupported, match=r"vectors\.v\.size"):
        await blueprint(database, subject, min_rows=1, limits=BuildLimits())
