"""Collections as tables."""

import asyncio
from typing import Any

import pytest

from service.errors import CollectionNotFound, Unsupported
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection
from service.stores.postgres import catalog
from service.stores.postgres.catalog import refuse_unsupported
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore

_DENSE = {"size": 4, "distance": "Dot"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sparse_vectors.text", {"sparse_vectors": {"text": {}}}),
        ("vectors.size", {"vectors": {**_DENSE, "size": 16_001}}),
        ("vectors.datatype", {"vectors": {**_DENSE, "datatype": "uint8"}}),
        ("vectors.img.datatype", {"vectors": {"img": {**_DENSE, "datatype": "float16"}}}),
        (
            "vectors.img.multivector_config",
            {"vectors": {"img": {**_DENSE, "multivector_config": {"comparator": "max_sim"}}}},
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
    rows = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'vecferry_data'")
    return {row["tablename"] for row in rows}
