"""Stage changes on a real Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest

from service.control import change as change_module
from service.control.change import StageChanges
from service.control.plane import ATTACHED_SECONDS, ControlPlane
from service.control.recorder import Recorder
from service.control.register import LEASE_SECONDS
from service.control.sealing import Seals
from service.control.state import CollectionState
from service.errors import CollectionNotFound, SourceUnavailable, StageError, TargetUnavailable
from service.model.ids import encode_key
from service.model.qdrant import CreateCollection
from service.protocol.ledger import Hint
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
    followed: list[str] = field(default_factory=list)

    async def follow(self, state: CollectionState) -> None:
        self.followed.append(state.name)

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
        follow=source.follow,
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


async def test_before_the_target_becomes_right_it_takes_the_sources_description(
    changes: StageChanges, control: PostgresControl, source: Source
) -> None:
    """Aliases and indexes that were made around us come over, too; no other change needs that."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    assert source.followed == []
    await bring(changes, control, Stage.LIVE)
    assert source.followed == ["c"]
    await bring(changes, control, Stage.SHADOW, Stage.DUALWRITE)
    assert source.followed == ["c"]


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
    told = r"1 intent\(s\) that have not settled .* `vecferry ledger list c`"
    with pytest.raises(StageError, match=told):
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


async def test_the_record_is_frozen_while_a_stage_changes(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister
) -> None:
    """Also when the authority stays: nobody decides by a record that is about to be wrong (R6)."""
    await bring(changes, control, Stage.DUALWRITE)
    before = len(register.history)
    await bring(changes, control, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN, Stage.SHADOW)
    seen = [(state.stage, state.frozen) for state in register.history[before:]]
    assert seen == [
        (Stage.DUALWRITE, True), (Stage.SHADOW, False),
        (Stage.SHADOW, True), (Stage.LIVE, False),
        (Stage.RAMPDOWN, False),
        (Stage.RAMPDOWN, True), (Stage.SHADOW, False),
    ]  # fmt: skip
    assert register.stored["c"].state == await current(control)


@pytest.mark.parametrize("wanted", [Stage.DUALWRITE, Stage.RAMP, Stage.LIVE])
async def test_without_qdrant_no_stage_changes_in_which_it_is_right(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister, wanted: Stage
) -> None:
    """The operator is told, and nothing stays frozen."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    register.error = SourceUnavailable("is away")
    with pytest.raises((StageError, SourceUnavailable), match="is away"):
        await changes.change("c", wanted, percent=10, actor="ops")
    state = await current(control)
    assert (state.stage, state.frozen) == (Stage.SHADOW, False)


async def test_where_postgres_is_right_stages_change_without_qdrant(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister
) -> None:
    """Who decides by the records answers nothing there, whatever they lag behind; giving up needs no record either."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE)
    register.error = SourceUnavailable("is away")
    await bring(changes, control, Stage.RAMPDOWN, Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE)
    assert (await current(control)).stage is Stage.COMPLETE


async def test_arming_counts_only_with_its_record(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister
) -> None:
    """A detached instance would write around the mirror; asking again completes it."""
    register.error = SourceUnavailable("is away")
    with pytest.raises(StageError, match="does not keep it"):
        await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")
    register.error = None
    await changes.change("c", Stage.DUALWRITE, percent=100, actor="ops")
    assert register.stored["c"].state == await current(control)


async def test_a_flip_waits_until_detached_instances_have_seen_the_freeze(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister
) -> None:
    """What they read of the record before holds for one lease; where nobody is marked nothing is waited for."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    began = time.monotonic()
    await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert time.monotonic() - began < LEASE_SECONDS
    register.beats[uuid4()] = 1
    began = time.monotonic()
    await changes.change("c", Stage.SHADOW, percent=100, actor="ops")
    assert time.monotonic() - began >= LEASE_SECONDS


async def test_a_hint_keeps_the_authority_where_it_is(
    changes: StageChanges, control: PostgresControl, register: MemoryRegister
) -> None:
    """What it stands for is in the source alone; the record says so again when the change was given up."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)
    register.hints = [Hint(intent_of(before, 1), uuid4())]
    with pytest.raises(StageError, match="1 unsettled"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert await current(control) == before
    assert register.stored["c"].state == before


async def test_postgres_lost_under_a_freeze_leaves_the_old_stage_in_force(
    changes: StageChanges,
    control: PostgresControl,
    register: MemoryRegister,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change was not published, so the record is free again: detached instances go on with the old stage."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    before = await current(control)

    async def away(*_: object, **__: object) -> int:
        raise TargetUnavailable("is away")

    monkeypatch.setattr(control, "waiting_for", away)
    monkeypatch.setattr(control, "thaw", away)
    with pytest.raises(TargetUnavailable):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    assert register.stored["c"].state == before


async def test_a_backfill_waits_for_who_is_not_heard(
    changes: StageChanges,
    control: PostgresControl,
    plane: ControlPlane,
    register: MemoryRegister,
) -> None:
    """Somebody who is marked and not registered, or silent, may still write by the stage before (R9)."""
    await bring(changes, control, Stage.DUALWRITE)
    state = await current(control)
    assert not await changes.seconds_until_armed(state)
    register.beats[plane.instance] = 1
    assert not await changes.seconds_until_armed(state)
    register.beats[uuid4()] = 1
    assert 0 < await changes.seconds_until_armed(state) <= 1.0 + ATTACHED_SECONDS


async def quarantine(
    database: Database, control: PostgresControl, *, waived_by: str | None
) -> None:
    """List a point that the target cannot hold, or change who has waived it."""
    generation = (await current(control)).generation
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.quarantine (generation, key, reason, found_by, waived_by)"
            " VALUES ($1, $2, 'NUL', 'resync', $3)"
            " ON CONFLICT (generation, key) DO UPDATE SET waived_by = excluded.waived_by",
            generation,
            encode_key(1),
            waived_by,
        )


async def test_a_quarantined_point_keeps_the_target_from_answering_more(
    changes: StageChanges, control: PostgresControl, database: Database
) -> None:
    """It may be compared, and the ramp may shrink; a waiver by name opens the way."""
    await bring(changes, control, Stage.DUALWRITE)
    await quarantine(database, control, waived_by=None)
    await bring(changes, control, Stage.SHADOW)
    for stage in (Stage.RAMP, Stage.LIVE):
        with pytest.raises(StageError, match=r"1 point\(s\) .* `vecferry quarantine list c`"):
            await changes.change("c", stage, percent=10, actor="ops")
    await quarantine(database, control, waived_by="ops")
    await changes.change("c", Stage.RAMP, percent=50, actor="ops")
    await quarantine(database, control, waived_by=None)
    assert (await changes.change("c", Stage.RAMP, percent=20, actor="ops")).percent == 20
    with pytest.raises(StageError, match="cannot hold"):
        await changes.change("c", Stage.RAMP, percent=30, actor="ops")


async def test_a_quarantined_point_is_not_in_the_way_back(
    changes: StageChanges, control: PostgresControl, database: Database
) -> None:
    """An operator who flees to the source is not asked to tidy up first."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE)
    await quarantine(database, control, waived_by=None)
    assert (await changes.change("c", Stage.RAMP, percent=50, actor="ops")).stage is Stage.RAMP


async def test_what_comes_into_the_quarantine_under_the_freeze_is_seen(
    changes: StageChanges,
    control: PostgresControl,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gate is looked at once more when all writes have ended; the old stage goes on."""
    await bring(changes, control, Stage.DUALWRITE, Stage.SHADOW)
    freeze = control.freeze

    async def frozen(before: CollectionState, token: UUID, seconds: float) -> int:
        await quarantine(database, control, waived_by=None)
        return await freeze(before, token, seconds)

    monkeypatch.setattr(control, "freeze", frozen)
    with pytest.raises(StageError, match="cannot hold"):
        await changes.change("c", Stage.LIVE, percent=100, actor="ops")
    state = await current(control)
    assert (state.stage, state.frozen) == (Stage.SHADOW, False)
