"""Indexes that follow the payload schemas in the background."""

import pytest

from service.errors import TargetUnavailable
from service.model.operations import CreateIndex, DeleteIndex
from service.stages import Stage
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.index_keeper import IndexKeeper
from service.stores.postgres.store import PgStore
from tests.service.running import running, until
from tests.service.stores.postgres.staged import CONFIG, current, staged


class Sync:
    """Notes the schemas that it was asked to serve; fails as often as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, set[str]]] = []
        self.failures = 0

    async def __call__(self, database: Database, tables: CollectionTables) -> None:
        self.asked.append((tables.name, set(tables.payload_schema)))
        if self.failures:
            self.failures -= 1
            reason = "is away"
            raise TargetUnavailable(reason)


@pytest.fixture
def sync() -> Sync:
    """What makes the indexes."""
    return Sync()


async def test_every_change_of_a_schema_is_followed_once(database: Database, sync: Sync) -> None:
    """Whoever made it; what has not changed is not looked at again."""
    store, keeper = PgStore(database), IndexKeeper(database, sync)
    await store.create_collection("c", CONFIG)
    for _ in range(2):
        await keeper.look()
    await store.apply("c", CreateIndex("a", "keyword"), wait=True)
    for _ in range(2):
        await keeper.look()
    await store.apply("c", DeleteIndex("a"), wait=True)
    await keeper.look()
    assert sync.asked == [("c", set()), ("c", {"a"}), ("c", set())]


async def test_a_failure_is_tried_again(database: Database, sync: Sync) -> None:
    """Later each time, and nobody else waits for it."""
    store = PgStore(database)
    for name in ("c", "d"):
        await store.create_collection(name, CONFIG)
    sync.failures = 2
    keeper = IndexKeeper(database, sync, look_seconds=0.02)
    await keeper.look()
    await keeper.look()
    assert [name for name, _ in sync.asked] == ["c", "d"]
    async with running(keeper.run()):
        await until(lambda: len(sync.asked) == 4)
        keeper.changed()
    assert [name for name, _ in sync.asked] == ["c", "d", "c", "d"]


async def test_a_collection_is_copied_first(
    database: Database, control: PostgresControl, sync: Sync
) -> None:
    """Inserting into tables without indexes is what makes a backfill fast."""
    keeper = IndexKeeper(database, sync)
    await control.arm("c", CONFIG, actor="test", is_new=False)
    await keeper.look()
    assert sync.asked == []
    state = await current(control)
    assert state.generation is not None
    await control.mark_backfilled("c", state.generation)
    await staged(control, Stage.LIVE, "d")
    await keeper.look()
    assert [name for name, _ in sync.asked] == ["c", "d"]
