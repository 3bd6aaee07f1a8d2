"""``*`` intents on a real Postgres: who may have one, and the two ways to settle them (R10)."""

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from service.control.state import CollectionState
from service.errors import SourceUnavailable
from service.model.qdrant import CreateCollection, Distance, HnswConfigDiff, VectorParams
from service.protocol.description import Description
from service.protocol.whole_log import Anew, Ended, Refused, WholeIntent
from service.stages import Side, Stage
from service.stores.postgres import catalog
from service.stores.postgres.collections import PgCollections
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.whole import PostgresWhole, pushable
from tests.service.stores.postgres.staged import (
    CONFIG,
    current,
    intent_of,
    ledger,
    registered,
    staged,
    until_one_waits,
)

OTHER = CreateCollection(vectors=VectorParams(size=3, distance=Distance.DOT))


@pytest.fixture
def log(database: Database) -> PostgresWhole:
    """The ``*`` intents."""
    return PostgresWhole(database)


@pytest.fixture
def owned(database: Database) -> PgCollections:
    """Changes while Postgres is right."""
    return PgCollections(database)


def _intent(state: CollectionState, *, replaces: bool = True) -> WholeIntent:
    return WholeIntent(uuid4(), state.name, state.generation, Side.TARGET, replaces, "test")


async def _pending(database: Database) -> list[str]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT cause FROM vecferry.collection_intents")
    return sorted(row["cause"] for row in rows)


async def _settled(
    log: PostgresWhole,
    intent: WholeIntent,
    owner: UUID,
    found: Description | None,
    *,
    is_made: bool = False,
) -> Ended:
    async def describe() -> Description | None:
        return found

    return await log.settle_target(intent, describe, owner=owner, is_made=is_made)


async def test_one_change_makes_or_drops_a_collection_at_a_time(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """A second one of any kind waits; another name does not."""
    state = await staged(control, Stage.SHADOW)
    assert await log.intend(_intent(state), state, owner=owner) is None
    assert await log.intend(_intent(state), state, owner=owner) is Refused.BUSY
    assert await log.intend(_intent(state, replaces=False), state, owner=owner) is Refused.BUSY
    other = CollectionState("unknown", Stage.DUALWRITE)
    assert await log.intend(_intent(other), other, owner=owner) is None
    assert await log.is_busy("c")


async def test_changes_of_the_description_go_beside_each_other(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """An application makes its indexes one after the other; only a drop waits for all of them."""
    state = await staged(control, Stage.SHADOW)
    assert await log.intend(_intent(state, replaces=False), state, owner=owner) is None
    assert await log.intend(_intent(state, replaces=False), state, owner=owner) is None
    assert await log.intend(_intent(state), state, owner=owner) is Refused.BUSY
    assert not await log.is_busy("c")


async def test_a_stale_view_gets_no_intent(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Nor does an instance that was fenced."""
    state = await staged(control, Stage.SHADOW)
    old = replace(state, epoch=state.epoch - 1)
    assert await log.intend(_intent(state), old, owner=owner) is Refused.STALE
    assert await log.intend(_intent(state), state, owner=uuid4()) is Refused.STALE
    assert not await _pending(database)


async def test_a_freeze_of_the_stage_makes_a_change_wait_and_the_other_way_round(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """Neither takes the other's freeze."""
    state, token = await staged(control, Stage.SHADOW), uuid4()
    await control.freeze(state, token, 10.0)
    assert await log.intend(_intent(state), state, owner=owner) is Refused.BUSY
    await control.thaw("c", token)
    intent = _intent(state)
    assert await log.intend(intent, state, owner=owner) is None
    assert await log.hold(intent, 10.0) is not None
    assert await log.hold(_intent(state), 10.0) is None
    assert (await current(control)).frozen


async def test_a_flip_waits_for_it(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """It counts like any other unsettled intent."""
    state = await staged(control, Stage.SHADOW)
    assert state.generation is not None
    await log.intend(_intent(state, replaces=False), state, owner=owner)
    assert await control.ledger_size(state.generation) == 1


async def test_the_sources_end_of_a_collection_reaches_the_target_only_while_writes_are_held(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Without the freeze a write of the old generation could land in a new collection."""
    state = await staged(control, Stage.RAMP)
    points = intent_of(state, 1)
    await PostgresIntents(database).insert([points], owner=owner)
    intent = _intent(state)
    await log.intend(intent, state, owner=owner)
    assert await _settled(log, intent, owner, None) is Ended.UNHELD
    assert (await current(control)).generation == state.generation
    await log.hold(intent, 10.0)
    assert await _settled(log, intent, owner, None) is Ended.DONE
    left = await current(control)
    assert (left.stage, left.generation, left.frozen) == (Stage.DUALWRITE, None, False)
    assert not await ledger(database)
    assert not await _pending(database)
    assert await _tables(database, state) == 0


async def test_one_change_can_be_taken_back_while_another_asks_the_source(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Whoever takes one back holds the revision's row, which every change of a stage needs."""
    state = await staged(control, Stage.SHADOW)
    settled, taken_back = (_intent(state, replaces=False) for _ in range(2))
    for intent in (settled, taken_back):
        await log.intend(intent, state, owner=owner)

    async def describe() -> Description | None:
        async with asyncio.timeout(2):
            await log.forget(taken_back)
        return Description(CONFIG)

    ended = await log.settle_target(settled, describe, owner=owner, is_made=False)
    assert (ended, await _pending(database)) == (Ended.DONE, [])


async def test_writes_that_are_no_longer_held_keep_the_generation(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A source that takes long to say what it has may outlast the hold that was in force when it was asked (R10)."""
    state = await staged(control, Stage.SHADOW)
    intent = _intent(state)
    await log.intend(intent, state, owner=owner)
    await log.hold(intent, 0.1)

    async def describe() -> Description | None:
        await asyncio.sleep(0.15)
        assert not (await current(control)).frozen
        return None

    ended = await log.settle_target(intent, describe, owner=owner, is_made=False)
    assert ended is Ended.UNHELD
    assert (await current(control)).generation == state.generation
    assert await _pending(database) == ["test"]


async def test_a_new_collection_of_the_source_is_mirrored_from_its_first_point(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """Whoever made it knows that it is empty; who only finds it does not."""
    state = CollectionState("c", Stage.DUALWRITE)
    intent = _intent(state)
    await log.intend(intent, state, owner=owner)
    found = Description(CONFIG, {"a": "keyword"})
    assert await _settled(log, intent, owner, found, is_made=True) is Ended.DONE
    made = await current(control)
    assert (made.stage, made.backfilled) == (Stage.DUALWRITE, True)


async def test_a_collection_with_other_vectors_is_another_generation(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """It was made anew while nobody looked: new tables, and a backfill is due."""
    state = await staged(control, Stage.SHADOW)
    intent = _intent(state, replaces=False)
    await log.intend(intent, state, owner=owner)
    await log.hold(intent, 10.0)
    assert await _settled(log, intent, owner, Description(OTHER)) is Ended.DONE
    again = await current(control)
    assert again.generation not in {None, state.generation}
    assert (again.stage, again.backfilled) == (Stage.DUALWRITE, False)
    assert await _tables(database, state) == 0


async def test_what_cannot_be_mirrored_goes_on_in_the_source_alone(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A collection made with vectors that the tables cannot hold is kept off, and nothing is left over."""
    state = CollectionState("c", Stage.DUALWRITE)
    intent = _intent(state)
    await log.intend(intent, state, owner=owner)
    params = {"size": 4, "distance": "Dot", "datatype": "turbo4"}
    turbo = CreateCollection.model_validate({"vectors": params})
    assert await _settled(log, intent, owner, Description(turbo), is_made=True) is Ended.DONE
    assert (await current(control)).stage is Stage.OFF
    assert not await _pending(database)


async def test_parameters_and_indexes_are_copied(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The generation and its epoch stay: no point is touched."""
    state = await staged(control, Stage.SHADOW)
    intent = _intent(state, replaces=False)
    await log.intend(intent, state, owner=owner)
    config = CONFIG.model_copy(update={"hnsw_config": HnswConfigDiff(m=32)})
    assert await _settled(log, intent, owner, Description(config, {"a": "keyword"})) is Ended.DONE
    assert await current(control) == state
    async with database.connection() as connection:
        tables = await catalog.get(connection, "c")
    assert (tables.config, tables.payload_schema) == (config, {"a": "keyword"})


async def test_a_taken_over_intent_is_not_settled_by_its_first_owner(
    log: PostgresWhole, control: PostgresControl, owner: UUID
) -> None:
    """He may be a zombie; whoever adopted it settles it (R7)."""
    state = await staged(control, Stage.SHADOW)
    intent = _intent(state, replaces=False)
    await log.intend(intent, state, owner=owner)
    await control.leave(owner)
    other = await registered(control)
    assert await log.adopt(owner=other, limit=10) == [intent]
    assert await _settled(log, intent, owner, None) is Ended.GONE
    assert (await current(control)).generation == state.generation
    assert await _settled(log, intent, other, Description(CONFIG)) is Ended.DONE


async def test_nothing_is_copied_against_a_new_authority(
    log: PostgresWhole, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A forced change of the stage leaves the target as it is."""
    state = await staged(control, Stage.SHADOW)
    intent = _intent(state)
    await log.intend(intent, state, owner=owner)
    await control.publish(state, Stage.LIVE, 100, actor="forced", token=None)
    assert await _settled(log, intent, owner, None) is Ended.GONE
    assert (await current(control)).generation == state.generation
    assert not await _pending(database)


async def test_a_change_on_the_target_owes_itself_to_the_source(
    owned: PgCollections, control: PostgresControl, log: PostgresWhole, owner: UUID,
    database: Database,
) -> None:  # fmt: skip
    """Dropped and made again in ``live``: the stage stays, and the source's collection is made anew, once."""
    first = await staged(control, Stage.LIVE)
    assert await owned.drop("c", owner=owner)
    left = await current(control)
    assert (left.stage, left.generation) == (Stage.LIVE, None)
    await owned.create("c", CONFIG, owner=owner)
    again = await current(control)
    assert (again.stage, again.backfilled) == (Stage.LIVE, True)
    assert again.generation not in {None, first.generation}
    assert await _pending(database) == ["create", "delete"]
    imposed: list[tuple[Description | None, Anew]] = []

    async def impose(wanted: Description | None, anew: Anew) -> None:
        imposed.append((wanted, anew))

    ended = await log.settle_source("c", impose, owner=owner, ignore_attempts=False)
    assert (ended, imposed) == (Ended.DONE, [(Description(CONFIG), Anew(collection=True))])
    assert not await _pending(database)
    assert await _tables(database, first) == 0


async def test_what_the_source_lacks_stays_in_one_hand(
    owned: PgCollections, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Two owners could undo each other's work there."""
    await staged(control, Stage.LIVE)
    await owned.drop("c", owner=owner)
    await owned.create("c", CONFIG, owner=await registered(control))
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT owner FROM vecferry.collection_intents")
    assert {row["owner"] for row in rows} == {owner}


async def test_points_are_not_pushed_while_the_source_has_another_collection(
    owned: PgCollections, control: PostgresControl, log: PostgresWhole, owner: UUID,
    database: Database,
) -> None:  # fmt: skip
    """They would go into the old one, which is dropped afterwards, and be lost there."""
    await staged(control, Stage.LIVE)
    await owned.drop("c", owner=owner)
    await owned.create("c", CONFIG, owner=owner)
    state = await current(control)
    points = PostgresIntents(database)
    written = intent_of(state, 1, behind=Side.SOURCE)
    await points.insert([written], owner=owner)
    pushed: list[object] = []

    async def push(present: object, absent: object) -> None:
        pushed.append((present, absent))

    async def settle() -> None:
        await points.settle_source(
            written.generation, written.keys, [written.id], push, owner=owner
        )

    async def impose(wanted: Description | None, anew: Anew) -> None:
        assert (wanted, anew) == (Description(CONFIG), Anew(collection=True))

    await settle()
    assert (pushed, await ledger(database)) == ([], {written.id})
    await log.settle_source("c", impose, owner=owner, ignore_attempts=False)
    await settle()
    assert (len(pushed), await ledger(database)) == (1, set())


async def test_a_change_waits_for_a_push_that_is_under_way(
    owned: PgCollections, control: PostgresControl, log: PostgresWhole, owner: UUID,
    database: Database,
) -> None:  # fmt: skip
    """The drop itself does not: its client is answered."""
    state = await staged(control, Stage.LIVE)
    assert state.generation is not None
    imposed = asyncio.Event()

    async def impose(wanted: Description | None, anew: Anew) -> None:
        imposed.set()

    async with asyncio.TaskGroup() as tasks, database.transaction() as connection:
        assert await pushable(connection, state.generation)
        await owned.drop("c", owner=owner)
        settling = tasks.create_task(
            log.settle_source("c", impose, owner=owner, ignore_attempts=False)
        )
        await until_one_waits(database)
        assert not imposed.is_set()
    assert settling.result() is Ended.DONE


async def test_a_push_that_may_still_land_holds_up_the_change(
    owned: PgCollections, control: PostgresControl, log: PostgresWhole, owner: UUID,
    database: Database,
) -> None:  # fmt: skip
    """Else a point of the old collection could arrive in the new one (R8)."""
    state = await staged(control, Stage.LIVE)
    points = PostgresIntents(database)
    written = intent_of(state, 1, behind=Side.SOURCE)
    await points.insert([written], owner=owner)

    async def lost(present: object, absent: object) -> None:
        reason = "dropped the connection"
        raise SourceUnavailable(reason)

    with pytest.raises(SourceUnavailable):
        await points.settle_source(
            written.generation, written.keys, [written.id], lost, owner=owner
        )
    await owned.drop("c", owner=owner)

    async def impose(wanted: Description | None, anew: Anew) -> None:
        assert (wanted, anew) == (None, Anew(collection=True))

    settle = log.settle_source
    assert await settle("c", impose, owner=owner, ignore_attempts=False) is Ended.ATTEMPTED
    assert await settle("c", impose, owner=owner, ignore_attempts=True) is Ended.DONE
    assert not await ledger(database)


async def test_in_complete_the_source_is_owed_nothing(
    owned: PgCollections, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Collections come and go, and are described, in Postgres alone."""
    await owned.create("c", CONFIG, owner=owner)
    assert (await current(control)).stage is Stage.COMPLETE
    await owned.change(
        "c",
        lambda before: replace(before, payload_schema={"a": "keyword"}),
        cause="index",
        owner=owner,
    )
    assert await owned.drop("c", owner=owner)
    assert not await owned.drop("c", owner=owner)
    assert not await _pending(database)


async def _tables(database: Database, state: CollectionState) -> int:
    async with database.connection() as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'vecferry_data'"
            " AND tablename LIKE '%\\_' || $1 || '%'",
            str(state.generation),
        )
    return count
