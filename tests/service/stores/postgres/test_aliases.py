"""Aliases in Postgres."""

import asyncio

import pytest

from service.errors import AliasNotFound, CollectionExists, CollectionNotFound, WrongInput
from service.model.operations import CreateIndex, CreateVector, DeleteVector, Upsert
from service.model.qdrant import (
    ChangeAliasesOperation,
    CountRequest,
    CreateCollection,
    DenseVectorNameConfig,
)
from service.stages import Stage
from service.stores.postgres import aliases, catalog, leftovers
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.service.stores.postgres.staged import CONFIG, point, staged


def _create(alias: str, collection: str) -> dict[str, object]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}


def _delete(alias: str) -> dict[str, object]:
    return {"delete_alias": {"alias_name": alias}}


def _rename(old: str, new: str) -> dict[str, object]:
    return {"rename_alias": {"old_alias_name": old, "new_alias_name": new}}


@pytest.fixture
async def store(database: Database) -> PgStore:
    """A store with two collections, of which ``c`` has a point."""
    made = PgStore(database)
    for name in ("c", "d"):
        await made.create_collection(name, CONFIG)
    await made.apply("c", Upsert([point(1)]), wait=True)
    return made


async def _change(store: PgStore, *actions: dict[str, object]) -> None:
    body = ChangeAliasesOperation.model_validate({"actions": list(actions)})
    assert await store.change_aliases(body.actions)


async def test_a_list_is_carried_out_in_order(store: PgStore) -> None:
    """An alias moves, also by way of others; deleting an unknown one is fine."""
    await _change(store, _create("a", "c"), _create("b", "d"), _delete("nothing"))
    assert await store.aliases() == {"a": "c", "b": "d"}
    await _change(store, _delete("a"), _create("a", "d"), _rename("b", "x"), _create("b", "c"))
    assert await store.aliases() == {"a": "d", "x": "d", "b": "c"}


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (_create("a", "nowhere"), CollectionNotFound),
        (_create("a", "b"), CollectionNotFound),
        (_create("y", "z"), CollectionNotFound),
        (_create("d", "c"), CollectionExists),
        (_rename("nothing", "a"), AliasNotFound),
    ],
)
async def test_a_list_counts_whole_or_not_at_all(
    store: PgStore, refused: dict[str, object], error: type[Exception]
) -> None:
    """What came before a refused action is undone; an alias for an alias is one for nothing."""
    await _change(store, _create("b", "d"))
    with pytest.raises(error):
        await _change(store, _delete("b"), _create("z", "c"), refused)
    assert await store.aliases() == {"b": "d"}


async def test_everything_answers_under_the_alias_but_the_end(store: PgStore) -> None:
    """A collection is dropped by its own name, with its aliases."""
    await _change(store, _create("a", "c"))
    assert await store.has_collection("a")
    assert await store.count("a", CountRequest()) == 1
    await store.apply("a", Upsert([point(2)]), wait=True)
    assert await store.count("c", CountRequest()) == 2
    with pytest.raises(WrongInput, match="Alias with the same name already exists"):
        await store.create_collection("a", CONFIG)
    assert not await store.delete_collection("a")
    assert await store.delete_collection("c")
    assert await store.aliases() == {}
    assert not await store.has_collection("a")


async def test_a_copy_takes_nothing_from_what_postgres_is_right_for(
    control: PostgresControl, database: Database
) -> None:
    """What the source says of one collection may be older than what was said here of another."""
    store = PgStore(database)
    right = await staged(control, Stage.LIVE, "right")
    copied = await staged(control, Stage.SHADOW, "copied")
    other = await staged(control, Stage.SHADOW, "other")
    assert None not in {right.generation, copied.generation, other.generation}
    await _change(store, _create("a", "right"), _create("b", "other"), _create("c", "copied"))
    async with database.transaction() as connection:
        await aliases.copy(connection, copied.generation or 0, ["a", "b"])
    assert await store.aliases() == {"a": "right", "b": "copied"}
    _, states = await control.load()
    assert {state.name: set(state.aliases) for state in states} == {
        "right": {"a"}, "copied": {"b"}, "other": set(),
    }  # fmt: skip


async def test_a_store_of_its_own_changes_its_description(
    store: PgStore, database: Database
) -> None:
    """Payload indexes and named vectors, under an alias too."""
    await _change(store, _create("a", "c"))
    config = DenseVectorNameConfig.model_validate({"dense": {"size": 3, "distance": "Dot"}})
    first = await store.apply("a", CreateIndex("n", "integer"), wait=True)
    second = await store.apply("a", CreateVector("b", config), wait=True)
    assert second.operation_id > first.operation_id
    info = await store.collection_info("c")
    assert info.payload_schema["n"].points == 1
    assert isinstance(info.config.params.vectors, dict)
    assert info.config.params.vectors.keys() == {"", "b"}
    await store.apply("a", DeleteVector("b"), wait=True)
    async with database.connection() as connection:
        waiting = await connection.fetchval("SELECT count(*) FROM vecferry.leftover_tables")
    assert not waiting
    left = (await store.collection_info("c")).config
    assert CreateCollection(vectors=left.params.vectors).vectors == {"": CONFIG.vectors}


async def test_a_removed_vectors_table_goes_when_nobody_holds_it(
    store: PgStore, database: Database
) -> None:
    """A push to a source that hangs holds it: no client waits for that, and nothing of it is left in the end."""
    config = DenseVectorNameConfig.model_validate({"dense": {"size": 3, "distance": "Dot"}})
    await store.apply("c", CreateVector("b", config), wait=True)
    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        table = tables.vectors["b"].table.quoted()
        await connection.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        async with asyncio.timeout(2):
            await store.apply("c", DeleteVector("b"), wait=True)
        await store.apply("c", Upsert([point(3)]), wait=True)
        assert await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
    await leftovers.clear(database)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT to_regclass($1) IS NULL", table)


async def test_changes_of_aliases_wait_for_each_other(store: PgStore, database: Database) -> None:
    """So does whoever makes a collection under what may become an alias, or drops one."""
    async with asyncio.TaskGroup() as tasks, database.transaction() as changing:
        await aliases.lock(changing)
        waiting = [
            tasks.create_task(_change(store, _create("a", "d"))),
            tasks.create_task(store.create_collection("e", CONFIG)),
            tasks.create_task(store.delete_collection("c")),
        ]
        await asyncio.sleep(0.4)
        assert not any(task.done() for task in waiting)
    assert await store.collections() == ["d", "e"]
    assert await store.aliases() == {"a": "d"}
