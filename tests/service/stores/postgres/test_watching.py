"""Counts of a moment without writes, and random rows, on a real Postgres."""

import asyncio
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from backfill.bypass import Watched
from backfill.counting import CountWatch
from backfill.metrics import ContinuousMetrics
from service.control.state import CollectionState
from service.model.ids import decode_key, encode_key
from service.model.operations import ByIds, Delete, Upsert
from service.model.points import Point
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.store import PgStore
from service.stores.postgres.watching import PostgresWitness, RandomRows
from tests.backfill.fakes import Shelf
from tests.service.running import running
from tests.service.stores.postgres.resyncs import having, resynced
from tests.service.stores.postgres.staged import current, intent_of, point, staged


class Site:
    """A collection in both stores; the source is in memory and written through the ledger."""

    def __init__(self, log: PostgresIntents, owner: UUID, state: CollectionState) -> None:
        self.log, self.owner, self.state = log, owner, state
        self.source = Shelf()

    @property
    def watched(self) -> Watched:
        return Watched(self.state.name, self.state.generation or 0, self.state.epoch)

    async def write(self, *points: Point, gone: int | None = None) -> None:
        """Write as the proxy does: intent, source, resync."""
        ids = [*(each.id for each in points), *([] if gone is None else [gone])]
        intent = intent_of(self.state, *ids)
        await self.log.insert([intent], owner=self.owner)
        self.source.points |= {each.id: each for each in points}
        if gone is not None:
            self.source.points.pop(gone, None)
        await resynced(self.log, self.state, [intent], having(*self.source.points.values()))


@pytest.fixture
async def site(log: PostgresIntents, control: PostgresControl, owner: UUID) -> Site:
    """Ten points in both stores."""
    made = Site(log, owner, await staged(control, Stage.DUALWRITE))
    await made.write(*(point(number) for number in range(10)))
    return made


@pytest.fixture
def metrics() -> ContinuousMetrics:
    """Counters of their own."""
    return ContinuousMetrics(CollectorRegistry())


def watch_of(site: Site, database: Database, metrics: ContinuousMetrics) -> CountWatch:
    """Return a watch that nothing hinders."""

    async def hindrance() -> str | None:
        return None

    return CountWatch(
        lambda: [site.watched],
        site.source,
        PostgresWitness(database, None),
        metrics,
        hindrance,
        every_seconds=0.0,
    )


async def test_a_row_more_or_less_is_found(
    site: Site, database: Database, metrics: ContinuousMetrics
) -> None:
    """In either store; it is said once, and forgotten when the counts agree again."""
    watch = watch_of(site, database, metrics)
    assert await watch.count(site.watched)
    await PgStore(database).apply("c", Delete(ByIds((3,))), wait=True)
    for _ in range(2):
        assert await watch.count(site.watched) is False
    assert watch.to_json() == [{"collection": "c", "source": 10, "target": 9}]
    assert metrics._bypass.labels("unknown")._value.get() == 1
    site.source.points.pop(3)
    assert await watch.count(site.watched)
    assert watch.to_json() == []
    await PgStore(database).apply("c", Upsert([point(50)]), wait=True)
    assert await watch.count(site.watched) is False


async def test_writes_through_the_proxy_are_never_a_mismatch(
    site: Site, database: Database, metrics: ContinuousMetrics
) -> None:
    """Counts that writes came between prove nothing, however often they are taken."""
    watch = watch_of(site, database, metrics)

    async def write(first: int) -> None:
        for number in range(first, first + 10_000):
            await site.write(point(number), gone=number - 3)
            await asyncio.sleep(0)

    counted: list[bool | None] = []
    async with running(write(100), write(20_000)):
        for _ in range(30):
            counted.append(await watch.count(site.watched))
            await asyncio.sleep(0.02)
    assert False not in counted
    assert None in counted


async def test_an_unsettled_write_or_another_stage_is_no_quiet_moment(
    site: Site, control: PostgresControl, database: Database
) -> None:
    """Whatever the ledger still has, and whoever has moved the collection."""
    witness = PostgresWitness(database, None)
    assert await witness.is_quiet(site.watched)
    await site.log.insert([intent_of(site.state, 1)], owner=site.owner)
    assert not await witness.is_quiet(site.watched)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM vecferry.intents")
    await control.publish(site.state, Stage.SHADOW, 100, actor="test", token=None)
    assert not await witness.is_quiet(site.watched)
    assert (await current(control)).stage is Stage.SHADOW


async def test_random_rows_come_from_the_whole_table(site: Site, database: Database) -> None:
    """Every point has its chance, a deleted one has none; a table without rows has none to give."""
    await site.write(*(point(number) for number in range(10, 600)))
    await site.write(gone=5)
    rows, drawn = RandomRows(database), set[object]()
    generation = site.watched.generation
    # One draw in twenty has a given row: that 500 lack one of the 599 happens in less than one run of a million.
    for _ in range(500):
        found = await rows.keys(generation, 30)
        assert len(found) == len(set(found)) == 30
        drawn |= {decode_key(key) for key in found}
    assert drawn == set(range(600)) - {5}
    assert await rows.keys(generation + 1, 30) == []


async def test_an_empty_table_has_no_random_rows(
    control: PostgresControl, database: Database
) -> None:
    """Nothing is asked of blocks that are not there."""
    state = await staged(control, Stage.DUALWRITE)
    assert await RandomRows(database).keys(state.generation or 0, 5) == []


async def test_the_quarantine_is_counted(site: Site, database: Database) -> None:
    """Waived or not: both are explanations."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.quarantine (generation, key, reason, found_by, waived_by)"
            " VALUES ($1, $2, 'NUL', 'resync', 'ops'), ($1, $3, 'NUL', 'resync', NULL)",
            site.watched.generation,
            encode_key(1),
            encode_key(2),
        )
    assert await PostgresWitness(database, None).quarantined(site.watched.generation) == 2
