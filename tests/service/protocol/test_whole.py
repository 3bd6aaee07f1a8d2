"""Changes of whole collections on two whole instances, a real Qdrant engine and a real Postgres (R10)."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import httpx
import pytest
from prometheus_client import CollectorRegistry

from service.control.plane import ControlPlane
from service.errors import Overloaded
from service.metrics import ProxyMetrics
from service.model.ids import PointId
from service.protocol import whole as whole_module
from service.protocol.outcome import Outcome
from service.protocol.whole import WholeChanges
from service.protocol.whole_log import WholeIntent
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from service.stores.postgres.whole import PostgresWhole
from tests.fakes import MemoryStore
from tests.service.protocol.pairs import BODY, MakeSettings, Pair, paired, to_stage
from tests.service.running import running, until
from tests.service.stores.postgres.staged import CONFIG, staged


async def _write(client: httpx.AsyncClient, pair: Pair, life: int, point_id: int) -> int:
    point = {"id": point_id, "vector": [1.0, 2.0], "payload": {"life": life}}
    path = f"{pair.path}/points?wait=true"
    return (await client.put(path, json={"points": [point]})).status_code


@dataclass(slots=True)
class Lives:
    """How often the collection was told to be made: points say in which life they were written."""

    begun: int = 0
    ended: int = 0


async def _changer(
    pair: Pair, client: httpx.AsyncClient, lives: Lives, chance: random.Random
) -> None:
    for _ in range(6):
        await asyncio.sleep(chance.uniform(0.0, 0.15))
        if chance.random() < 0.5:
            begun = lives.begun
            answer = await client.delete(pair.path)
            if answer.status_code == 200 and answer.json()["result"]:
                # Whatever was written under a life that had begun before is gone.
                lives.ended = max(lives.ended, begun)
        else:
            answer = await client.put(pair.path, json=BODY)
            if answer.status_code == 200:
                lives.begun += 1
        assert answer.status_code in {200, 409, 503}, answer.text


async def _writer(
    pair: Pair, client: httpx.AsyncClient, lives: Lives, chance: random.Random
) -> None:
    for _ in range(40):
        await asyncio.sleep(chance.uniform(0.0, 0.02))
        status = await _write(client, pair, lives.begun, chance.randrange(20))
        assert status in {200, 404, 503}, status


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_two_instances_make_drop_and_write_one_name(
    pair: Pair, stage: Stage, seed: int
) -> None:
    """Whatever they do at the same moment, it ends with equal stores and an empty ledger."""
    await to_stage(pair, stage)
    lives, chance = Lives(), random.Random(seed)
    async with asyncio.TaskGroup() as tasks:
        for here in (pair.one, pair.two):
            tasks.create_task(_changer(pair, here.client, lives, random.Random(chance.random())))
            for _ in range(2):
                tasks.create_task(_writer(pair, here.client, lives, random.Random(chance.random())))
    await pair.settled()
    source, target = await pair.on_source(), await pair.on_target()
    assert source == target
    if lives.begun:
        assert all(life >= lives.ended for life in (source or {}).values())
    await until(lambda: pair.one.instance.whole.is_idle and pair.two.instance.whole.is_idle)


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_no_point_of_the_old_collection_is_in_the_new_one(pair: Pair, stage: Stage) -> None:
    """Writers go on through both instances while one of them drops and makes the collection."""
    await to_stage(pair, stage)
    life, stop = 1, asyncio.Event()

    async def write(client: httpx.AsyncClient, first: int) -> None:
        number = first
        while not stop.is_set():
            number += 2
            await _write(client, pair, life, number % 50)

    async with asyncio.TaskGroup() as tasks:
        for place, here in enumerate((pair.one, pair.two)):
            tasks.create_task(write(here.client, place))
        for _ in range(4):
            await asyncio.sleep(0.1)
            assert (await pair.one.client.delete(pair.path)).json()["result"] is True
            life += 1
            assert (await pair.one.client.put(pair.path, json=BODY)).status_code == 200
        stop.set()
    await pair.settled()
    source = await pair.on_source()
    assert source == await pair.on_target()
    # A write that began in one life may arrive in the next one, as in Qdrant; in a later one never.
    assert min((source or {0: life}).values()) >= life - 1


async def test_a_change_whose_instance_died_is_settled_by_another(
    settings: MakeSettings, qdrant_url: str, database: Database, collection_name: str
) -> None:
    """It left its ``*`` intent behind with the source changed: gone there, gone here."""
    async with paired(settings, qdrant_url, database, collection_name) as pair:
        await to_stage(pair, Stage.SHADOW)
        await _write(pair.one.client, pair, 1, 1)
        await pair.settled()
        state = pair.one.instance.plane.view.state(pair.name)
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO vecferry.collection_intents"
                " (id, name, generation, owner, behind, cause, replaces) VALUES"
                " (gen_random_uuid(), $1, $2, gen_random_uuid(), 'target', 'drop', true)",
                pair.name,
                state.generation,
            )
        await pair.qdrant.delete(pair.path)
        await pair.settled()
        assert await pair.on_target() is None
        left = (await pair.two.instance.plane.refresh()).state(pair.name)
        assert (left.stage, left.generation) == (Stage.DUALWRITE, None)


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.LIVE])
async def test_parameters_and_payload_indexes_reach_both_stores(pair: Pair, stage: Stage) -> None:
    """Whichever is right, the other one follows; and what is dropped is dropped on both."""
    await to_stage(pair, stage)
    await _write(pair.one.client, pair, 1, 1)
    client = pair.one.client
    for field in ("life", "other"):
        wanted = {"field_name": field, "field_schema": "integer"}
        answer = await client.put(f"{pair.path}/index?wait=true", json=wanted)
        assert (answer.status_code, answer.json()["result"]["status"]) == (200, "completed")
    assert (await client.delete(f"{pair.path}/index/other?wait=true")).status_code == 200
    patch = {"hnsw_config": {"m": 32}}
    assert (await client.patch(pair.path, json=patch)).json()["result"] is True
    await pair.settled()
    source = (await pair.qdrant.get(pair.path)).json()["result"]
    target = await PgStore(pair.database).collection_info(pair.name)
    assert source["config"]["hnsw_config"]["m"] == target.config.hnsw_config.m == 32
    assert source["payload_schema"].keys() == target.payload_schema.keys() == {"life"}
    assert source["payload_schema"]["life"]["points"] == target.payload_schema["life"].points == 1


class Source(MemoryStore):
    """A source that counts the barriers that were passed."""

    drained = 0

    async def barrier(self, collection: str, ids: object) -> None:
        raise AssertionError

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        return set()

    async def drain(self, collection: str) -> None:
        self.drained += 1


@dataclass(frozen=True, slots=True)
class Rig:
    """One instance's part in changes of collections, on a real Postgres."""

    whole: WholeChanges
    plane: ControlPlane
    source: Source
    database: Database

    async def drop(self) -> WholeIntent:
        """Begin to drop the collection; the source has dropped it."""
        state = self.plane.view.state("c")
        intent = await self.whole.intend(state, replaces=True, gives_up=True, cause="drop")
        assert intent is not None
        await self.source.delete_collection("c")
        return intent

    async def exists(self) -> bool:
        """Say whether Postgres still has the collection."""
        return await PgStore(self.database).has_collection("c")


@pytest.fixture
async def rig(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """An instance with a collection in both stores, whose settling looks around often."""
    monkeypatch.setattr(whole_module, "_LOOK_SECONDS", 0.02)
    control, metrics, source = (
        PostgresControl(database),
        ProxyMetrics(CollectorRegistry()),
        Source(),
    )
    await staged(control, Stage.SHADOW)
    await source.create_collection("c", CONFIG)

    async def no_aliases() -> dict[str, str]:
        return {}

    plane = ControlPlane(control, default_stage=Stage.OFF, load_aliases=no_aliases, metrics=metrics)
    await plane.start()
    changes = WholeChanges(
        PostgresWhole(database), source, plane, metrics, grace_seconds=0.5, hold_seconds=0.5
    )
    async with running(changes.run()):
        yield Rig(changes, plane, source, database)


async def test_a_known_end_is_settled_before_the_answer(rig: Rig) -> None:
    """When the client hears of it both stores are equal, and nothing is left."""
    await rig.whole.ended(await rig.drop(), Outcome.ENDED)
    assert not await rig.exists()
    assert rig.source.drained == 0
    await until(lambda: rig.whole.is_idle)


async def test_an_unknown_end_waits_for_the_grace_period_and_a_barrier(rig: Rig) -> None:
    """The request may still land: what the source says before that proves nothing (R1, R2)."""
    await rig.whole.ended(await rig.drop(), Outcome.UNKNOWN)
    await asyncio.sleep(0.2)
    assert await rig.exists()
    assert not rig.whole.is_idle
    await until(lambda: rig.whole.is_idle)
    assert not await rig.exists()
    assert rig.source.drained


async def test_a_queued_change_passes_a_barrier_at_once(rig: Rig) -> None:
    """It has reached Qdrant's queue."""
    await rig.whole.ended(await rig.drop(), Outcome.QUEUED)
    await until(lambda: rig.whole.is_idle, seconds=0.45)
    assert not await rig.exists()
    assert rig.source.drained


async def test_a_second_change_waits_and_is_then_told_to_try_again(rig: Rig) -> None:
    """It waits for the first one, bounded; nothing of it is left behind."""
    first = await rig.drop()
    state = rig.plane.view.state("c")
    with pytest.raises(Overloaded):
        await rig.whole.intend(state, replaces=True, gives_up=True, cause="drop")
    with pytest.raises(Overloaded):
        await rig.whole.free("c")
    await rig.whole.ended(first, Outcome.ENDED)
    await rig.whole.free("c")
    await until(lambda: rig.whole.is_idle)


async def test_a_change_that_is_taken_back_lets_the_writes_go_on(rig: Rig) -> None:
    """Nothing has reached the source; the stage is as it was."""
    before = rig.plane.view.state("c")
    intent = await rig.whole.intend(before, replaces=True, gives_up=True, cause="drop")
    assert intent is not None
    assert (await rig.plane.refresh()).state("c").frozen
    await rig.whole.forget(intent)
    assert rig.plane.view.state("c") == before
    assert rig.whole.is_idle
