"""The quarantine on a real Postgres: how ids come in, block, are waived, and leave."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest

from backfill.queue import Quarantined, Refused
from service.control.state import CollectionState
from service.errors import CollectionNotFound, PointNotFound
from service.model.ids import encode_key
from service.model.points import Point
from service.protocol.ledger import Settled
from service.stages import Side, Stage
from service.stores.postgres import catalog, quarantine, writes
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.quarantine import PostgresQuarantine
from tests.service.stores.postgres.resyncs import Pushes, having, resynced
from tests.service.stores.postgres.staged import (
    current,
    intent_of,
    ledger,
    numbers,
    point,
    staged,
)

_WAITING = """
    SELECT EXISTS (
        SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted
    )
"""


def spoilt(point_id: int, reason: str = "\x00") -> Point:
    """Return a point that Postgres refuses: a NUL in its payload, or a vector that is not a number."""
    if reason == "nan":
        return Point(point_id, {"": np.array([np.nan, 0.0], np.float32)}, {"n": 1.0})
    return Point(point_id, {"": np.array([1.0, 0.0], np.float32)}, {"n": 1.0, "text": reason})


async def refused(log: PostgresIntents, owner: UUID, state: CollectionState, *ids: int) -> UUID:
    """Commit an intent and resync it from a source whose points are spoilt."""
    intent = intent_of(state, *ids)
    await log.insert([intent], owner=owner)
    await resynced(log, state, [intent], having(*map(spoilt, ids)))
    return intent.id


async def written(
    log: PostgresIntents, owner: UUID, state: CollectionState, *points: Point, gone: int = 0
) -> None:
    """Commit an intent and resync it from a source that has these points."""
    ids = [*(each.id for each in points), *([gone] if gone else [])]
    intent = intent_of(state, *ids)
    await log.insert([intent], owner=owner)
    await resynced(log, state, [intent], having(*points))


async def rows(database: Database) -> list[tuple[object, str, bool]]:
    """Return what is listed: id, who found it, whether it is waived."""
    listed = await PostgresQuarantine(database).listed(None, limit=100)
    return [(each.id, each.found_by, each.waived_by is not None) for each in listed]


@pytest.mark.parametrize("reason", ["\x00", "\ud800", "nan"])
async def test_a_refused_write_is_listed_with_its_reason(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database, reason: str
) -> None:
    """The id is in the quarantine with the commit that narrows its intent; its neighbour is written."""
    state = await staged(control, Stage.DUALWRITE)
    intent = intent_of(state, 1, 2)
    await log.insert([intent], owner=owner)
    await resynced(log, state, [intent], having(spoilt(1, reason), point(2)))
    (listed,) = await PostgresQuarantine(database).listed("c", limit=10)
    assert (listed.id, listed.found_by, listed.waived_by) == (1, "resync", None)
    assert listed.reason
    assert await ledger(database) == {intent.id}
    assert await numbers(database, 1, 2) == {2: 1.0}
    assert await control.quarantined(intent.generation) == 1


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_later_write_takes_the_id_out(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    *,
    deleted: bool,
) -> None:
    """Whether the point can be held now or is gone: nothing is listed, and its waiver is gone with it."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1, 2)
    quarantined = PostgresQuarantine(database)
    await quarantined.waive("c", [1], actor="ops")
    await (written(log, owner, state, gone=1) if deleted else written(log, owner, state, point(1)))
    assert await rows(database) == [(2, "resync", False)]
    await refused(log, owner, state, 1)
    assert await rows(database) == [(1, "resync", False), (2, "resync", False)]


async def test_what_the_target_pushes_leaves_the_quarantine(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """While Postgres is right a write of a waived id makes both stores equal."""
    state = await staged(control, Stage.SHADOW)
    await refused(log, owner, state, 1, 2)
    await PostgresQuarantine(database).waive("c", [1, 2], actor="ops")
    await control.publish(state, Stage.LIVE, 100, actor="test", token=None)
    state = await current(control)
    intent = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([intent], owner=owner)
    pushes = Pushes()
    assert (await resynced(log, state, [intent], pushes, owner)).outcome is Settled.DONE
    assert await rows(database) == [(2, "resync", True)]


async def test_a_waiver_names_ids_and_settles_what_stood_for_nothing_else(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """An intent of two refused ids goes with the second waiver; who waived is on record."""
    state = await staged(control, Stage.DUALWRITE)
    both, other = await refused(log, owner, state, 1, 2), await refused(log, owner, state, 3)
    quarantined, generation = PostgresQuarantine(database), state.generation or 0
    assert await quarantined.waive("c", [1], actor="ops") == 1
    assert await ledger(database) == {both, other}
    assert await quarantined.blocking(generation) == 2
    assert await quarantined.waive("c", [2, 1], actor="ops") == 1
    assert await ledger(database) == {other}
    assert await quarantined.waived_keys(generation) == {encode_key(1), encode_key(2)}
    assert await quarantined.counts() == {"c": (1, 2)}
    async with database.connection() as connection:
        actors = await connection.fetch("SELECT actor FROM vecferry.audit ORDER BY id")
    assert [row["actor"] for row in actors][-2:] == [
        "ops: waived 1 point(s): 1",
        "ops: waived 2 point(s): 1, 2",
    ]


async def test_an_intent_that_was_not_refused_survives_the_waiver(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """It may stand for a write that the target can hold: only its own resync settles it (R3)."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1)
    newer = intent_of(state, 1)
    await log.insert([newer], owner=owner)
    await PostgresQuarantine(database).waive("c", [1], actor="ops")
    assert await ledger(database) == {newer.id}


async def test_only_what_is_listed_can_be_waived(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The first unknown id is named, and nothing is waived."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1)
    quarantined = PostgresQuarantine(database)
    with pytest.raises(PointNotFound, match="No point with id 7 in the quarantine of `c`"):
        await quarantined.waive("c", [7, 1], actor="ops")
    with pytest.raises(CollectionNotFound):
        await quarantined.waive("d", [1], actor="ops")
    assert await rows(database) == [(1, "resync", False)]


async def test_a_waived_id_that_is_refused_again_blocks_nothing_and_says_so(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """The waiver names the id: a client that writes it every minute must not make a flip impossible."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1)
    quarantined = PostgresQuarantine(database)
    await quarantined.waive("c", [1], actor="ops")
    (before,) = await quarantined.listed("c", limit=10)
    assert not before.refused_again
    await refused(log, owner, state, 1)
    (after,) = await quarantined.listed("c", limit=10)
    assert after.refused_again
    assert after.waived_by == "ops"
    assert not await ledger(database)
    assert not await quarantined.blocking(state.generation or 0)


async def test_a_page_lists_what_no_write_has_touched(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A row or a tombstone is newer than the page: its own resync lists it if it must."""
    state = await staged(control, Stage.DUALWRITE)
    await written(log, owner, state, point(1), gone=2)
    await paged(database, 1, 2, 3)
    assert await rows(database) == [(3, "backfill", False)]


async def test_a_page_waits_for_the_resync_of_its_ids(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """What the resync is about to write is seen, although the page began first."""
    state = await staged(control, Stage.DUALWRITE)
    intent = intent_of(state, 1)
    await log.insert([intent], owner=owner)
    held, is_reading = asyncio.Event(), asyncio.Event()

    async def slow(ids: Sequence[object]) -> Sequence[Point]:
        is_reading.set()
        await held.wait()
        return [point(1)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(resynced(log, state, [intent], slow))
        await is_reading.wait()
        page = tasks.create_task(paged(database, 1))
        async with database.connection() as connection, asyncio.timeout(30):
            while not await connection.fetchval(_WAITING):
                assert not page.done()
                await asyncio.sleep(0.01)
        held.set()
    assert await rows(database) == []


async def test_a_later_page_takes_out_what_a_page_has_listed_and_nothing_else(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A page may have read the source before the write that a resync met."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1)
    await paged(database, 1, 2)
    await PostgresQuarantine(database).waive("c", [1], actor="ops")
    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        await writes.insert_missing(connection, tables, [point(1), point(2)])
        await quarantine.solved(connection, tables.id, [encode_key(1), encode_key(2)])
    assert await rows(database) == [(1, "resync", True)]


async def test_pages_of_the_list_go_on_where_the_last_one_ended(
    control: PostgresControl, database: Database
) -> None:
    """In the order of generation and key."""
    for name in ("c", "d"):
        await staged(control, Stage.DUALWRITE, name)
        await paged(database, 1, 2, name=name)
    found: list[Quarantined] = []
    after: tuple[int, bytes] | None = None
    while page := await PostgresQuarantine(database).listed(None, limit=3, after=after):
        found += page
        after = page[-1].generation, encode_key(page[-1].id)
    assert [(each.collection, each.id) for each in found] == [
        ("c", 1), ("c", 2), ("d", 1), ("d", 2),
    ]  # fmt: skip


async def test_the_quarantine_goes_with_the_collection(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A new one of the name begins without it."""
    state = await staged(control, Stage.DUALWRITE)
    await refused(log, owner, state, 1)
    await control.retire("c", actor="test")
    async with database.connection() as connection:
        assert not await connection.fetchval("SELECT count(*) FROM vecferry.quarantine")


async def paged(database: Database, *ids: int, name: str = "c") -> None:
    """List ids as a backfill's page does."""
    async with database.transaction() as connection:
        tables = await catalog.get(connection, name)
        found = [Refused(encode_key(each), f"refused {each}") for each in ids]
        await quarantine.put(connection, tables, found)
