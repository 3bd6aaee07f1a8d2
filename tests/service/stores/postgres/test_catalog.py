"""Collections as tables."""

import asyncio
from typing import Any

import numpy as np
import pytest

from service.errors import CollectionNotFound, Unsupported, WrongInput
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import (
    CreateCollection,
    DenseVectorConfig,
    DenseVectorNameConfig,
    Distance,
    Modifier,
    SparseVectorConfig,
    SparseVectorNameConfig,
    VectorParams,
)
from service.stores.configuration import vector_params
from service.stores.postgres import catalog, control_rows, leftovers, reconfiguring
from service.stores.postgres.catalog import refuse_unsupported
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore

_DENSE = {"size": 4, "distance": "Dot"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("vectors.size", {"vectors": {**_DENSE, "size": 16_001}}),
        ("vectors.img.size", {"vectors": {"img": {**_DENSE, "size": 16_001}}}),
        ("vectors.img.datatype", {"vectors": {"img": {**_DENSE, "datatype": "turbo4"}}}),
        (
            "sparse_vectors.text.index.datatype",
            {"sparse_vectors": {"text": {"index": {"datatype": "turbo8"}}}},
        ),
    ],
)
def test_what_the_tables_cannot_hold_is_named(path: str, body: dict[str, Any]) -> None:
    """Before anything is created, with its path in the request."""
    with pytest.raises(Unsupported) as caught:
        refuse_unsupported(CreateCollection.model_validate(body))
    assert caught.value.path == path


async def test_tables_come_and_go_with_the_collection(database: Database) -> None:
    """No table is left behind, and a new collection of that name has new tables."""
    body = {"vectors": {"a": _DENSE, "b": {**_DENSE, "size": 3_000}}}
    config = CreateCollection.model_validate(body)
    async with database.transaction() as conn:
        first = await catalog.create(conn, "things", config)
    async with database.connection() as conn:
        assert await _tables(conn) == {"points_1", "vectors_1_0", "vectors_1_1"}
        assert await catalog.by_id(conn, first.id) == first
    async with database.transaction() as conn:
        assert await catalog.drop(conn, "things")
        assert await catalog.by_id(conn, first.id) is None
        second = await catalog.create(conn, "things", config)
    assert second.id != first.id
    assert second.config == config


_MULTI = {**_DENSE, "multivector_config": {"comparator": "max_sim"}}


async def test_a_name_that_postgres_cannot_hold_is_nobodys(database: Database) -> None:
    """Qdrant has no collection of such a name either, and says so."""
    name = "a\x00b"
    async with database.transaction() as conn:
        for look in (catalog.get, catalog.get_shared, catalog.get_for_update):
            with pytest.raises(CollectionNotFound):
                await look(conn, name)
        assert not await catalog.exists(conn, name)
        assert not await catalog.drop(conn, name)
        assert await control_rows.locked(conn, name) is None


async def test_every_kind_has_its_tables(database: Database) -> None:
    """A sparse vector has its inverted index beside it; all go with the collection, and with the leftovers."""
    body = {"vectors": {"a": _MULTI, "b": {**_DENSE, "datatype": "uint8"}}}
    config = CreateCollection.model_validate({**body, "sparse_vectors": {"c": {}}})
    for ending in ("drop", "leftovers"):
        async with database.transaction() as conn:
            made = await catalog.create(conn, "things", config)
        async with database.transaction() as conn:
            tables = [f"vectors_{made.id}_{n}" for n in range(3)]
            assert await _tables(conn) == {f"points_{made.id}", *tables, f"postings_{made.id}_2"}
            if ending == "drop":
                assert await catalog.drop(conn, "things")
            else:
                assert await catalog.unlink(conn, "things") == made.id
        await leftovers.clear(database)
        async with database.connection() as conn:
            assert not await _tables(conn)


async def test_vectors_come_and_go(database: Database) -> None:
    """The tables of the others stay; a number is never used again."""
    async with database.transaction() as conn:
        made = await catalog.create(
            conn, "things", CreateCollection.model_validate({"vectors": {"b": _DENSE, "c": _DENSE}})
        )
        kept = made.vectors["c"]
        added = await reconfiguring.add_vector(conn, made, "a", _dense_config(3))
        assert added.vectors["c"] == kept
        assert added.config.vectors == {
            **vector_params(made.config),
            "a": VectorParams(size=3, distance=Distance.COSINE),
        }
        assert await reconfiguring.add_vector(conn, added, "a", _dense_config(3)) is added
        with pytest.raises(WrongInput, match="already exists with a different configuration"):
            await reconfiguring.add_vector(conn, added, "a", _dense_config(4))
        left = await reconfiguring.remove_vector(conn, added, "b")
        assert left.vectors.keys() == {"a", "c"}
        assert left.vectors["c"] == kept
        sparse = SparseVectorNameConfig(sparse=SparseVectorConfig(modifier=Modifier.IDF))
        last = await reconfiguring.add_vector(conn, left, "b", sparse)
        assert await reconfiguring.remove_vector(conn, last, "nobody") is last
        assert last.vectors["b"].spec.has_idf
        assert await _tables(conn) == {
            *("points_1", "vectors_1_1", "vectors_1_2", "vectors_1_3", "postings_1_3")
        }
    async with database.transaction() as conn:
        assert await catalog.get(conn, "things") == last
        assert await catalog.drop(conn, "things")
        assert not await _tables(conn)


async def test_a_vector_that_is_something_else_now_has_new_tables(database: Database) -> None:
    """Its values are not those of the new one; what only changes the scoring leaves them alone."""
    before = CreateCollection.model_validate(
        {"vectors": {"a": _DENSE}, "sparse_vectors": {"s": {}}}
    )
    after = CreateCollection.model_validate(
        {"vectors": {"a": {**_DENSE, "size": 3}}, "sparse_vectors": {"s": {"modifier": "idf"}}}
    )
    async with database.transaction() as conn:
        made = await catalog.create(conn, "things", before)
        await reconfiguring.update(conn, made.id, after)
        assert await _tables(conn) == {"points_1", "vectors_1_1", "postings_1_1", "vectors_1_2"}
        changed = await catalog.get(conn, "things")
        assert changed.vectors["a"].size == 3
        assert changed.vectors["s"].table == made.vectors["s"].table
        assert changed.vectors["s"].spec.has_idf


async def test_a_vector_goes_after_the_writes_that_hold_the_collection(database: Database) -> None:
    """A writer finishes first, and the next one no longer knows the vector."""
    store = PgStore(database)
    config = CreateCollection.model_validate({"vectors": {"a": _DENSE}})
    await store.create_collection("things", config)

    async def remove() -> None:
        async with database.transaction() as conn:
            await reconfiguring.remove_vector(
                conn, await catalog.get_for_update(conn, "things"), "a"
            )

    async with asyncio.TaskGroup() as tasks, database.transaction() as conn:
        await catalog.get_shared(conn, "things")
        removing = tasks.create_task(remove())
        await asyncio.sleep(0.1)
        assert not removing.done()
    with pytest.raises(WrongInput, match="Not existing vector name error: a"):
        await store.apply(
            "things", Upsert([Point(1, {"a": np.ones(4, np.float32)}, {})]), wait=True
        )


async def test_an_alias_leads_to_its_collection(database: Database) -> None:
    """For reads and writes; it is no collection that could be dropped, and an own name goes before it."""
    async with database.transaction() as conn:
        made = await catalog.create(conn, "things", CreateCollection())
        await conn.execute("INSERT INTO vecferry.aliases VALUES ('stuff', $1)", made.id)
        for read in (catalog.get, catalog.get_shared, catalog.get_for_update):
            assert await read(conn, "stuff") == made
        assert not await catalog.exists(conn, "stuff")
        assert not await catalog.drop(conn, "stuff")
        own = await catalog.create(conn, "stuff", CreateCollection())
        assert await catalog.get(conn, "stuff") == own


def _dense_config(size: int) -> DenseVectorNameConfig:
    return DenseVectorNameConfig(dense=DenseVectorConfig(size=size, distance=Distance.COSINE))


async def test_a_drop_waits_for_a_write(database: Database) -> None:
    """A writer that holds the collection finishes; the next one finds it gone."""
    store = PgStore(database)
    await store.create_collection("things", CreateCollection())
    async with asyncio.TaskGroup() as tasks, database.transaction() as conn:
        await catalog.get_shared(conn, "things")
        dropping = tasks.create_task(store.delete_collection("things"))
        await asyncio.sleep(0.1)
        assert not dropping.done()
    assert dropping.result()
    with pytest.raises(CollectionNotFound):
        await store.apply("things", Upsert([Point(1, {}, {})]), wait=True)


async def _tables(conn: Connection) -> set[str]:
    """Return the collections' tables without those that only wait to be dropped."""
    rows = await conn.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'vecferry_data'"
        " AND format('%I.%I', schemaname, tablename) <>"
        " ALL (SELECT replace(name, '\"', '') FROM vecferry.leftover_tables)"
    )
    return {row["tablename"] for row in rows}
