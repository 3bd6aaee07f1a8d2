"""Stage changes on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from service.control import change as change_module
from service.control.change import StageChanges
from service.control.plane import ControlPlane
from service.control.recorder import Recorder
from service.control.sealing import Seals
from service.errors import CollectionNotFound, StageError, TargetUnavailable
from service.model.qdrant import CreateCollection
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.store import PgStore
from tests.service.control.conftest import Aliases, plane_on
from tests.service.control.fakes import MemoryRegister
from tests.service.running import running, until
from tests.service.stores.postgres.staged import CONFIG, current, intent_of, ledger


@dataclass
class Source:
    """Says how a collection was made; ``before_answer`` is what happens meanwhile."""

    collections: set[str] = field(default_factory=lambda: {"c"})
    before_answer: Callable[[], Awaitable[object]] | None = None

    async def config(self, name: str) -> CreateCollection:
        if self.before_answer is not None:
            await self.before_answer()
        if name not in self.collections:
            raise CollectionNotFound(name)
        return CONFIG


@pytest.fixture
def source() -> Source:
    """A source that has collection ``c``."""
    return Source()


@pytest.fixture
async def changes(
    plane: ControlPlane, control: PostgresControl, source: Source, register: MemoryRegister
) -> AsyncIterator[StageChanges]:
    """Stage changes of a running instance, with a short freeze."""
    async with running(plane.run()):
        yield changes_of(plane, control, source, register)


def changes_of(
    plane: ControlPlane, control: PostgresControl, source: Source, register: MemoryRegister
) -> StageChanges:
    """Return stage changes of an instance."""
    recorder = Recorder(plane, register, control)
    return StageChanges(
        plane,
        control,
        Seals(recorder, register, register, control, seconds=_FREEZE_SECONDS, grace_seconds=1.0),
        read_source_config=source.config,
        freeze_seconds=_FREEZE_SECONDS,
    )


_FREEZE_SECONDS = 2.0


async def bring(
    changes: StageChanges, control: PostgresControl, *stages: Stage, percent: int = 100
) -> None:
    """Walk through stages; the backfill is done after the first."""
    for stage in stages:
        await changes.change("c", stage, percent=percent, actor="ops")
        state = await current(control)
        if state.generation is not None:
            await control.mark_backfilled("c", state.generation)


async def owe(database: Database, plane: ControlPlane, control: PostgresControl) -> UUID:
    """Leave an unsettled intent in the ledger."""
    intent = intent_of(await current(control), 1)
    assert await PostgresIntents(database).insert([intent], owner=plane.instance)
    return intent.id


async def test_the_whole_way_and_back(
    changes: StageChanges, control: PostgresControl, plane: ControlPlane
) -> None:
    """Every kind of change is carried out, confirmed and seen by this instance; each raises the epoch."""
    way = [
        Stage.DUALWRITE, Stage.SHADOW, Stage.RAMP, Stage.LIVE, Stage.SHADOW, Stage.LIVE,
        Stage.RAMPDOWN, Stage.COMPLETE,
    ]  # fmt: skip
    for epoch, stage in enumerate(way, start=1):
        await bring(changes, control, stage)
        state = plane.view.state("c")
        assert (state.stage, state.epoch, state.frozen) == (stage, epoch, False)


async def test_ramp_grows_by_percent(changes: StageChanges, control: PostgresControl) -> None:
    """The same stage with another percentage is a change of its own."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    for percent in (10, 50):
        state = await changes.change("c", Stage.RAMP, percent=percent, actor="ops")
        assert (state.stage, state.percent) == (Stage.RAMP, percent)


async def test_the_stage_in_force_is_no_change(
    changes: StageChanges, control: PostgresControl
) -> None:
    """Asking again is fine, whatever the percentage outside of ramp; nothing is published."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    revision = await control.revision()
    state = await changes.change("c", Stage.SHADOW, percent=7, actor="ops")
    assert state.stage is Stage.SHADOW
    assert (await changes.change("never seen", Stage.OFF, percent=100, actor="ops")).epoch == 0
    assert await control.revision() == revision


async def test_the_stage_in_force_is_still_waited_for(
    changes: StageChanges,
    control: PostgresControl,
    plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asking again does not say "done" while an instance has not confirmed (R9)."""
    await bring(changes, control, Stage.DUALWRITE)
    monkeypatch.setattr(change_module, "_CONFIRM_SECONDS", 0.1)
    state = await current(control)
    assert state.generation is not None
    with plane.view.lease("c"):
        await control.mark_backfilled("c", state.generation)
        with pytest.raises(StageError, match="not confirmed"):
            await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")


async def test_a_complete_copy_is_needed(changes: StageChanges, control: PostgresControl) -> None:
    """Without a backfill nothing is compared with the target, let alone read from it."""
    await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")
    with pytest.raises(StageError, match="no complete backfill"):
        await changes.change("c", Stage.SHADOW, percent=100, actor="ops")
    assert (await current(control)).stage is Stage.DUALWRITE


async def test_a_way_that_does_not_exist_is_refused(
    changes: StageChanges, control: PostgresControl
) -> None:
    """The transition table is asked first."""
    await bring(changes, control, Stage.DUALWRITE)
    with pytest.raises(StageError, match="no way from dualwrite to live"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")


async def test_aliases_keep_a_collection_from_being_complete(
    changes: StageChanges, control: PostgresControl, aliases: Aliases
) -> None:
    """Without Qdrant nobody would answer under the alias."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN)
    aliases.names = {"alias": "c"}
    with pytest.raises(StageError, match="aliases"):
        await changes.change("c", Stage.COMPLETE, percent=100, actor="ops")


async def test_an_unknown_collection_is_not_armed(
    changes: StageChanges, control: PostgresControl
) -> None:
    """What the source does not have gets no tables."""
    with pytest.raises(CollectionNotFound):
        await changes.change("missing", Stage.DUALWRITE, percent=100, actor="ops")
    assert (await control.load())[1] == []


async def test_a_ledger_that_does_not_drain_keeps_the_old_stage(
    changes: StageChanges,
    control: PostgresControl,
    plane: ControlPlane,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The authority does not move while an intent is unsettled; the collection is not left frozen."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)
    kept = await owe(database, plane, control)
    monkeypatch.setattr(changes, "_freeze_seconds", 0.3)
    with pytest.raises(StageError, match="1 unsettled intents"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert await current(control) == before
    assert await ledger(database) == {kept}


async def test_a_ledger_that_drains_in_time_is_waited_for(
    changes: StageChanges, control: PostgresControl, plane: ControlPlane, database: Database
) -> None:
    """New writes are held meanwhile; when the last intent is settled the stage changes."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    await owe(database, plane, control)
    async with asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(changes.change("c", Stage.LIVE, percent=100, actor="ops"))
        await until(lambda: plane.view.state("c").frozen)
        assert (await current(control)).stage is Stage.SHADOW
        async with database.connection() as connection:
            await connection.execute("DELETE FROM vecferry.intents")
    assert changing.result().stage is Stage.LIVE


async def test_a_write_in_flight_is_waited_for(
    changes: StageChanges, control: PostgresControl, plane: ControlPlane
) -> None:
    """While a request of the old stage runs nothing is published; at the deadline the old stage goes on."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)
    with plane.view.lease("c"), pytest.raises(StageError, match=r"not confirmed|deadline"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert await current(control) == before


async def test_what_is_stuck_is_refused_before_writes_are_held(
    changes: StageChanges,
    control: PostgresControl,
    plane: ControlPlane,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An intent that will not settle would only make the freeze last to its deadline."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    await owe(database, plane, control)
    monkeypatch.setattr(change_module, "_STUCK_SECONDS", 0.0)
    monkeypatch.setattr(control, "freeze", None)  # it must not come to that
    with pytest.raises(StageError, match="1 intents that have not settled"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")


@pytest.mark.parametrize("step", ["ledger_size", "publish"])
async def test_a_failure_under_the_freeze_thaws(
    changes: StageChanges,
    control: PostgresControl,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """Whatever fails after the freeze, writes go on at once in the old stage."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)
    original = getattr(control, step)

    async def fail(*arguments: object, **named: object) -> object:
        if (await current(control)).frozen:
            raise TargetUnavailable("is away")
        return await original(*arguments, **named)

    monkeypatch.setattr(control, step, fail)
    with pytest.raises(TargetUnavailable):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert await current(control) == before


async def test_an_operator_who_gives_up_thaws(
    changes: StageChanges, control: PostgresControl, plane: ControlPlane, database: Database
) -> None:
    """A cancelled change leaves nothing frozen."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)
    await owe(database, plane, control)
    async with asyncio.TaskGroup() as tasks:
        changing = tasks.create_task(changes.change("c", Stage.LIVE, percent=100, actor="ops"))
        await until(lambda: plane.view.state("c").frozen)
        changing.cancel()
    assert await current(control) == before


async def test_a_change_by_somebody_else_meanwhile_is_refused(
    changes: StageChanges, control: PostgresControl, source: Source
) -> None:
    """While we read the configuration another instance arms the collection: its tables stay."""

    async def somebody_else() -> None:
        source.before_answer = None
        await control.arm("c", CONFIG, actor="somebody else", is_new=False)

    source.before_answer = somebody_else
    with pytest.raises(StageError, match="meanwhile"):
        await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")
    assert (await current(control)).epoch == 1


async def test_two_flips_at_once_do_not_mix(
    changes: StageChanges,
    control: PostgresControl,
    aliases: Aliases,
    source: Source,
    register: MemoryRegister,
) -> None:
    """Of two instances that flip together one wins and the other is refused; nothing stays frozen."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    second = plane_on(control, aliases)
    await second.start()
    rival = changes_of(second, control, source, register)
    async with running(second.run()):
        outcomes = await asyncio.gather(
            changes.change("c", Stage.LIVE, percent=100, actor="ops"),
            rival.change("c", Stage.LIVE, percent=100, actor="rival"),
            return_exceptions=True,
        )
    state = await current(control)
    assert (state.stage, state.frozen) == (Stage.LIVE, False)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(each, StageError) for each in refused)
    # Either the second was refused, or it came so late that the stage was in force already.
    assert state.epoch == 3


async def test_abandoning_drops_the_tables_when_everybody_knows(
    changes: StageChanges, control: PostgresControl, plane: ControlPlane, database: Database
) -> None:
    """The ledger is closed with them; mirroring may begin again from empty tables."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    await owe(database, plane, control)
    assert (await changes.change("c", Stage.OFF, percent=100, actor="ops")).stage is Stage.OFF
    assert not await PgStore(database).has_collection("c")
    assert not await ledger(database)
    state = await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")
    assert (state.stage, state.backfilled) == (Stage.DUALWRITE, False)


@pytest.mark.parametrize("wanted", [Stage.OFF, Stage.DUALWRITE])
async def test_a_default_stage_can_be_left_or_made_real(
    control: PostgresControl,
    aliases: Aliases,
    source: Source,
    register: MemoryRegister,
    wanted: Stage,
) -> None:
    """Where everything is mirrored from its first write on, a collection can be kept out of it, or armed before."""
    plane = plane_on(control, aliases, default=Stage.DUALWRITE)
    await plane.start()
    changes = changes_of(plane, control, source, register)
    state = await changes.change("c", wanted, percent=100, actor="ops")
    assert (state.stage, state.epoch) == (wanted, 1)
    assert (state.generation is None) == (wanted is Stage.OFF)
