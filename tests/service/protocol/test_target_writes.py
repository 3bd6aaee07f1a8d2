"""A write while the target is the authority: a real Postgres in front, a store in memory as the source behind it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from service.control.plane import ControlPlane
from service.errors import (
    CollectionExists,
    CollectionNotFound,
    MalformedBody,
    PointNotFound,
    SourceUnavailable,
    StaleEpoch,
)
from service.metrics import ProxyMetrics
from service.model.ids import PointId
from service.model.operations import (
    ByIds,
    CreateIndex,
    Delete,
    Operation,
    SetPayload,
    UpdateResult,
    Upsert,
)
from service.model.qdrant import CountRequest, PointRequest, UpdateCollection
from service.protocol import resync, whole
from service.protocol.mirrors import SourceMirror
from service.protocol.resync import Resyncer
from service.protocol.target_writes import TargetAuthority
from service.protocol.whole import WholeChanges
from service.stages import Stage
from service.stores.postgres.collections import PgCollections
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.store import PgStore
from service.stores.postgres.whole import PostgresWhole
from tests.fakes import MemoryStore
from tests.service.running import running, until
from tests.service.stores.postgres.staged import (
    CONFIG,
    current,
    ledger,
    numbers,
    point,
    staged,
)


class Source(MemoryStore):
    """A source that can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        self._check()
        return await super().apply(collection, operation, wait=wait)

    async def collections(self) -> list[str]:
        self._check()
        return await super().collections()

    async def delete_collection(self, name: str) -> bool:
        self._check()
        return await super().delete_collection(name)

    async def barrier(self, collection: str, ids: object) -> None:
        self._check()

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        return set()

    async def drain(self, collection: str) -> None:
        self._check()

    def _check(self) -> None:
        if self.is_away:
            raise SourceUnavailable("is away", may_have_applied=False)


@dataclass
class Rig:
    """The parts of one instance."""

    authority: TargetAuthority
    plane: ControlPlane
    control: PostgresControl
    resyncer: Resyncer
    whole: WholeChanges
    source: Source

    async def bring(self, stage: Stage) -> None:
        """Put collection ``c`` into a stage, in both stores."""
        await staged(self.control, stage)
        await self.source.create_collection("c", CONFIG)
        await self.plane.refresh()

    async def upsert(self, *ids: int) -> UpdateResult:
        return await self.authority.apply("c", Upsert([point(i) for i in ids]), wait=True)


@pytest.fixture
async def rig(
    database: Database, counted: ProxyMetrics, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    """A running instance without an HTTP edge."""
    monkeypatch.setattr(resync, "_SWEEP_SECONDS", 0.05)
    control, target, source = PostgresControl(database), PgStore(database), Source()

    async def no_aliases() -> dict[str, str]:
        return {}

    plane = ControlPlane(control, default_stage=Stage.OFF, load_aliases=no_aliases, metrics=counted)
    await plane.start()
    resyncer = Resyncer(
        PostgresIntents(database), SourceMirror(source), plane.instance, counted, grace_seconds=60
    )
    changes = WholeChanges(
        PostgresWhole(database), source, plane, counted, grace_seconds=60, hold_seconds=5
    )
    authority = TargetAuthority(
        target,
        FencedPgStore(database),
        PgCollections(database),
        plane,
        changes,
        resyncer,
        counted,
    )
    async with running(resyncer.run(), changes.run()):
        yield Rig(authority, plane, control, resyncer, changes, source)


async def test_a_write_reaches_the_source_after_the_target(rig: Rig, database: Database) -> None:
    """The client is answered by Postgres; the source follows and nothing is owed any more."""
    await rig.bring(Stage.LIVE)
    await rig.upsert(1, 2)
    assert await numbers(database, 1, 2) == {1: 1.0, 2: 1.0}
    await rig.authority.apply("c", Delete(ByIds((2,))), wait=False)
    await until(lambda: rig.resyncer.is_idle)
    assert await rig.source.count("c", CountRequest()) == 1
    assert not await ledger(database)


async def test_a_source_that_is_away_is_not_noticed(rig: Rig, database: Database) -> None:
    """The ledger grows meanwhile and drains when it is back."""
    await rig.bring(Stage.LIVE)
    rig.source.is_away = True
    await rig.upsert(1)
    assert len(await ledger(database)) == 1
    rig.source.is_away = False
    await until(lambda: rig.resyncer.is_idle)
    (found,) = await rig.source.retrieve("c", PointRequest(ids=[1], with_payload=True))
    assert found.payload == {"n": 1.0}


async def test_a_refused_write_leaves_nothing_open(rig: Rig, database: Database) -> None:
    """Postgres refuses it as a whole, so that there is nothing to resync."""
    await rig.bring(Stage.LIVE)
    with pytest.raises(PointNotFound):
        await rig.authority.apply("c", SetPayload(ByIds((1,)), {"a": 1}), wait=True)
    assert rig.resyncer.is_idle
    assert not await ledger(database)


async def test_a_write_without_ids_leaves_nothing_open(
    rig: Rig, database: Database, counted: ProxyMetrics
) -> None:
    """It has no intent, and none is counted."""
    await rig.bring(Stage.LIVE)
    await rig.upsert()
    assert rig.resyncer.is_idle
    assert not rig.resyncer.watch._generations
    assert counted.intents.labels("source")._value.get() == 0


async def test_a_write_goes_on_under_a_stage_that_leaves_the_target_right(
    rig: Rig, database: Database, counted: ProxyMetrics
) -> None:
    """It is refused whole under the old epoch, and written under the new one (R5)."""
    await rig.bring(Stage.LIVE)
    state = await current(rig.control)
    await rig.control.publish(state, Stage.RAMPDOWN, 100, actor="ops", token=None)
    await rig.upsert(1)
    assert await numbers(database, 1) == {1: 1.0}
    assert counted.stale_epochs._value.get() == 1
    await until(lambda: rig.resyncer.is_idle)
    assert not await ledger(database)


async def test_a_write_does_not_follow_the_stage_back_to_the_source(
    rig: Rig, database: Database
) -> None:
    """A request that was sent here under `live` is not written under a stage in which the source is right."""
    await rig.bring(Stage.LIVE)
    state = await current(rig.control)
    await rig.control.publish(state, Stage.SHADOW, 100, actor="ops", token=None)
    with pytest.raises(StaleEpoch):
        await rig.upsert(1)
    assert await numbers(database, 1) == {}
    assert rig.resyncer.is_idle


async def test_complete_leaves_the_source_alone(rig: Rig, database: Database) -> None:
    """After the end of the migration nothing is owed to the source."""
    await rig.bring(Stage.COMPLETE)
    await rig.upsert(1)
    assert rig.resyncer.is_idle
    assert not rig.source.applied


async def test_an_unknown_collection(rig: Rig) -> None:
    """Without target tables there is no such collection here."""
    with pytest.raises(CollectionNotFound):
        await rig.upsert(1)


async def test_a_new_collection_is_complete_from_its_first_day(rig: Rig) -> None:
    """It is listed, it exists once, and the source has no part in it."""
    assert await rig.authority.create_collection("c", CONFIG)
    assert await rig.authority.collections() == ["c"]
    await rig.upsert(1)
    with pytest.raises(CollectionExists):
        await rig.authority.create_collection("c", CONFIG)
    assert await rig.authority.count("c", CountRequest()) == 1
    assert await rig.source.collections() == []


async def test_a_collection_of_the_source_is_not_listed(rig: Rig) -> None:
    """Only what the target is right about."""
    await rig.bring(Stage.SHADOW)
    assert await rig.authority.collections() == []
    assert await rig.authority.has_collection("c")


async def test_a_source_that_is_away_is_not_noticed_by_changes_of_collections(
    rig: Rig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters, payload indexes, the end and a new beginning: Qdrant gets all of it when it is back."""
    monkeypatch.setattr(whole, "_LONGEST_DELAY_SECONDS", 0.05)
    await rig.bring(Stage.LIVE)
    await rig.upsert(1)
    await until(lambda: rig.resyncer.is_idle)
    rig.source.is_away = True
    await rig.authority.update_collection("c", UpdateCollection(metadata={"a": 1}))
    assert await rig.authority.delete_collection("c")
    assert not await rig.authority.has_collection("c")
    assert await rig.authority.create_collection("c", CONFIG)
    await rig.authority.apply("c", CreateIndex("n", "float"), wait=True)
    await rig.upsert(2)
    # The change of parameters ends with the collection, should it be looked at after that.
    assert await whole_intents(database) >= 3
    rig.source.is_away = False
    await until(lambda: rig.resyncer.is_idle and rig.whole.is_idle, seconds=10)
    assert await whole_intents(database) == 0
    assert await rig.source.count("c", CountRequest()) == 1
    (found,) = await rig.source.retrieve("c", PointRequest(ids=[1, 2]))
    assert found.id == 2
    assert (await rig.source.collection_info("c")).payload_schema.keys() == {"n"}
    assert (await rig.authority.collection_info("c")).payload_schema["n"].points == 1


async def test_a_deleted_collection_is_gone_from_both(rig: Rig, database: Database) -> None:
    """Its row, its tables and its intents go too; deleting it twice says so."""
    await rig.bring(Stage.LIVE)
    rig.source.is_away = True
    await rig.upsert(1)
    rig.source.is_away = False
    assert await rig.authority.delete_collection("c")
    assert not await rig.authority.delete_collection("c")
    await until(lambda: rig.resyncer.is_idle and rig.whole.is_idle, seconds=10)
    assert await rig.source.collections() == []
    assert not await ledger(database)
    with pytest.raises(CollectionNotFound):
        await rig.upsert(1)


async def test_a_payload_index_must_be_one(rig: Rig, database: Database) -> None:
    """What Qdrant would refuse is refused, and owes nothing to anybody."""
    await rig.bring(Stage.LIVE)
    with pytest.raises(MalformedBody):
        await rig.authority.apply("c", CreateIndex("n", "nonsense"), wait=True)
    with pytest.raises(MalformedBody):
        await rig.authority.apply("c", CreateIndex("[", "keyword"), wait=True)
    assert await whole_intents(database) == 0


async def whole_intents(database: Database) -> int:
    """Return the number of ``*`` intents."""
    async with database.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM vecferry.collection_intents")
    return count
