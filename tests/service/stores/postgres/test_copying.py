"""A resync's copy in parts, on a real Postgres, and the named steps that it passes."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from service import steps
from service.errors import SourceUnavailable, WrongInput
from service.model.ids import PointId
from service.model.points import Point
from service.stages import Side, Stage
from service.steps import Step
from service.stores.postgres import copying
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from tests.service.stores.postgres.resyncs import Pushes, having, resynced
from tests.service.stores.postgres.staged import (
    intent_of,
    ledger,
    numbers,
    point,
    staged,
)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps that were reached, in order."""
    reached: list[Step] = []
    monkeypatch.setattr(steps, "watch", reached.append)
    return reached


class Parts:
    """A source that notes which ids it was asked for at a time, and fails where it is told to."""

    def __init__(self, *spoilt: PointId) -> None:
        self.asked: list[list[PointId]] = []
        self.spoilt = spoilt
        self.lost: PointId | None = None

    async def fetch(self, ids: Sequence[PointId]) -> Sequence[Point]:
        """Return a point for every even id."""
        self.asked.append(list(ids))
        await asyncio.sleep(0)
        if self.lost in ids:
            raise SourceUnavailable("hung up")
        return [
            Point(each, point(each).vectors, {"n": "\x00"}) if each in self.spoilt else point(each)
            for each in ids
            if int(each) % 2 == 0
        ]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be four ids."""
    monkeypatch.setattr(copying, "_IDS_PER_PART", 4)


async def test_a_large_resync_goes_in_parts(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """No read is larger than a part, each id is read once, and all of it commits together."""
    state = await staged(control, Stage.DUALWRITE)
    intents = [intent_of(state, number, number + 1) for number in range(0, 10, 2)]
    await log.insert(intents, owner=owner)
    source = Parts()
    await resynced(log, state, intents, source.fetch)
    assert source.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert set(await numbers(database, *range(10))) == {0, 2, 4, 6, 8}
    assert not await ledger(database)


async def test_a_part_that_cannot_be_read_undoes_all(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """Also what was written while it was read; the connection is free afterwards."""
    state = await staged(control, Stage.DUALWRITE)
    whole = intent_of(state, *range(10))
    await log.insert([whole], owner=owner)
    source = Parts()
    source.lost = 5
    with pytest.raises(SourceUnavailable):
        await resynced(log, state, [whole], source.fetch)
    assert await numbers(database, *range(10)) == {}
    assert await ledger(database) == {whole.id}


async def test_a_resync_that_fails_as_it_is_cancelled_ends(
    log: PostgresIntents, control: PostgresControl, owner: UUID
) -> None:
    """The read's error does not hide that the instance stops."""
    state = await staged(control, Stage.DUALWRITE)
    whole = intent_of(state, 1)
    await log.insert([whole], owner=owner)

    async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
        resync.cancel()
        message = "is away"
        raise SourceUnavailable(message)

    async def settle() -> None:
        await resynced(log, state, [whole], fetch)

    async with asyncio.TaskGroup() as tasks:
        resync = tasks.create_task(settle())
    assert resync.cancelled()


async def test_refused_points_are_set_apart_in_every_part(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """What one part refuses does not hide what another one does."""
    state = await staged(control, Stage.DUALWRITE)
    intents = [intent_of(state, number) for number in range(10)]
    await log.insert(intents, owner=owner)
    settlement = await resynced(log, state, intents, Parts(2, 8).fetch)
    assert settlement.refused == {intents[2].id, intents[8].id} == await ledger(database)
    assert set(await numbers(database, *range(10))) == {0, 4, 6}


async def test_an_argument_that_no_statement_can_carry_is_refused(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A payload that cannot be written as JSON is a fault of that point, whoever raises it."""
    state = await staged(control, Stage.DUALWRITE)
    intents = [intent_of(state, 1), intent_of(state, 2)]
    await log.insert(intents, owner=owner)
    odd = Point(2, point(2).vectors, {"n": "\ud800"})
    settlement = await resynced(log, state, intents, having(point(1), odd))
    assert settlement.refused == {intents[1].id}
    assert await numbers(database, 1, 2) == {1: 1.0}


async def test_a_copy_passes_its_steps(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    passed: list[Step],
) -> None:
    """In the order in which their effects can be seen."""
    state = await staged(control, Stage.DUALWRITE)
    write = intent_of(state, 1)
    await log.insert([write], owner=owner)
    await resynced(log, state, [write], having(point(1)))
    assert passed == [
        Step.RESYNC_LOCKED,
        Step.RESYNC_READ,
        Step.RESYNC_WRITTEN,
        Step.RESYNC_COMMITTED,
    ]


async def test_a_push_passes_its_steps(
    log: PostgresIntents,
    control: PostgresControl,
    owner: UUID,
    database: Database,
    passed: list[Step],
) -> None:
    """The attempt is committed before, the settlement after the source has it."""
    state = await staged(control, Stage.LIVE)
    write = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([write], owner=owner)
    await resynced(log, state, [write], Pushes(), owner)
    assert passed == [Step.PUSH_ATTEMPTED, Step.PUSHED, Step.PUSH_SETTLED]


async def test_a_source_that_refuses_to_read_is_not_blamed_on_the_points(
    log: PostgresIntents, control: PostgresControl, owner: UUID, database: Database
) -> None:
    """A source that refuses to read is no fault of a point: the intents stay as they were."""
    state = await staged(control, Stage.DUALWRITE)
    write = intent_of(state, 1)
    await log.insert([write], owner=owner)

    async def refuse(_: Sequence[PointId]) -> Sequence[Point]:
        raise WrongInput("no")

    with pytest.raises(WrongInput):
        await resynced(log, state, [write], refuse)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT failures FROM vecferry.intents") == 0
