"""The rows of multivectors and sparse vectors, through every way that writes them."""

from typing import Any

import numpy as np
import pytest

from backfill.canonical import same_vectors
from service.errors import WrongInput
from service.model.operations import Delete, DeleteVectors, UpdateVectors, Upsert
from service.model.points import Point, SparseVector
from service.model.qdrant import CreateCollection, PointRequest
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.contract.samples import ids

_CONFIG = CreateCollection.model_validate(
    {
        "vectors": {
            "rows": {
                "size": 2,
                "distance": "Dot",
                "datatype": "float16",
                "multivector_config": {"comparator": "max_sim"},
            }
        },
        "sparse_vectors": {"words": {}},
    }
)
_IDS = 12


def _vectors(random: np.random.Generator) -> dict[str, Any]:
    vectors: dict[str, Any] = {}
    if random.random() < 0.7:
        indices = random.choice(8, random.integers(0, 6), replace=False).astype(np.uint32)
        values = random.choice([0.0, 1.0, 2.0], len(indices)).astype(np.float32)
        vectors["words"] = SparseVector(indices, values)
    if random.random() < 0.7:
        vectors["rows"] = random.integers(0, 9, (random.integers(1, 4), 2)).astype(np.float32)
    return vectors


async def _change(database: Database, store: PgStore, random: np.random.Generator) -> None:
    some = random.choice(_IDS, 5, replace=False).tolist()
    points = [Point(each, _vectors(random), {}) for each in some]
    match random.integers(5):
        case 0:
            await store.apply("kinds", Upsert(points), wait=True)
        case 1:
            there = await _present(database)
            changes = [(p.id, p.vectors) for p in points if p.id in there]
            await store.apply("kinds", UpdateVectors(changes), wait=True)
        case 2:
            there = await _present(database)
            chosen = ids(*(each for each in some if each in there))
            await store.apply("kinds", DeleteVectors(chosen, ("words",)), wait=True)
        case 3:
            await store.apply("kinds", Delete(ids(*some[:2])), wait=True)
        case _:
            async with database.transaction() as conn:
                tables = await catalog.get(conn, "kinds")
                await writes.mirror(conn, tables, points[:3], some[3:])
                await writes.insert_missing(conn, tables, points[3:])


async def _present(database: Database) -> set[int]:
    async with database.connection() as conn:
        found = await conn.fetch("SELECT key FROM vecferry_data.points_1 WHERE NOT deleted")
    return {int.from_bytes(row["key"][-8:]) if row["key"][0] == 0 else -1 for row in found}


async def test_the_inverted_index_has_exactly_the_entries_of_the_vectors(
    database: Database,
) -> None:
    """After any number of upserts, updates, deletions, copies and copied pages."""
    store, random = PgStore(database), np.random.default_rng(11)
    await store.create_collection("kinds", _CONFIG)
    for _ in range(60):
        await _change(database, store, random)
        async with database.connection() as conn:
            expected = await conn.fetch(
                "SELECT entry.dim, v.key, entry.weight FROM vecferry_data.vectors_1_1 AS v"
                " CROSS JOIN LATERAL unnest(v.indices, v.weights) AS entry(dim, weight)"
            )
            held = await conn.fetch("SELECT dim, key, weight FROM vecferry_data.postings_1_1")
        assert {tuple(row) for row in held} == {tuple(row) for row in expected}
        assert len(held) == len(expected)


async def test_an_equal_vector_is_not_written_again(database: Database) -> None:
    """Replays and resyncs of what is there already leave the rows alone."""
    store, random = PgStore(database), np.random.default_rng(2)
    await store.create_collection("kinds", _CONFIG)
    points = [Point(each, _vectors(random), {}) for each in range(_IDS)]
    await store.apply("kinds", Upsert(points), wait=True)
    before = await _places(database)
    await store.apply("kinds", Upsert(points), wait=True)
    assert await _places(database) == before


async def _places(database: Database) -> list[Any]:
    async with database.connection() as conn:
        return [
            await conn.fetch(f"SELECT ctid::text, key FROM vecferry_data.{table} ORDER BY 1")
            for table in ("vectors_1_0", "vectors_1_1", "postings_1_1")
        ]


async def test_an_infinite_component_is_refused(database: Database) -> None:
    """float16 ends at 65504; nothing infinite goes into the tables."""
    store = PgStore(database)
    await store.create_collection("kinds", _CONFIG)
    point = Point(1, {"rows": np.array([[1, 70_000]], np.float32)}, {})
    with pytest.raises(WrongInput, match="infinite value not allowed in halfvec"):
        await store.apply("kinds", Upsert([point]), wait=True)


async def test_a_fresh_connection_reads_every_kind(database: Database, database_url: str) -> None:
    """Without having seen the types of the columns before."""
    store = PgStore(database)
    await store.create_collection("kinds", _CONFIG)
    words = SparseVector(np.array([3], np.uint32), np.ones(1, np.float32))
    point = Point(1, {"words": words, "rows": np.ones((2, 2), np.float32)}, {})
    await store.apply("kinds", Upsert([point]), wait=True)
    opened = await Database.open(database_url)
    request = PointRequest(ids=[1], with_payload=False, with_vector=True)
    [record] = await PgStore(opened).retrieve("kinds", request)
    await opened.close()
    assert same_vectors(record.vectors or {}, point.vectors)
