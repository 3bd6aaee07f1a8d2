"""An instance that loses Postgres: its mark, its looks at the records, and the way back."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from service.control import detachment as detachment_module
from service.control import plane as plane_module
from service.control.detachment import Detachment
from service.control.plane import ControlPlane
from service.control.register import LEASE_SECONDS, Record
from service.control.state import Basis
from service.errors import Overloaded, SourceUnavailable, StoreAnswered, TargetUnavailable
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from tests.service.control.conftest import Aliases, plane_on
from tests.service.control.fakes import MemoryRegister
from tests.service.running import running, until
from tests.service.stores.postgres.staged import current, staged


@dataclass
class Rig:
    """A running instance whose Postgres can be taken away."""

    plane: ControlPlane
    control: PostgresControl
    register: MemoryRegister
    aliases: Aliases
    left: list[bool] = field(default_factory=lambda: [False])

    def detachment(self, *, grace_seconds: float = 2.0) -> Detachment:
        return Detachment(
            self.plane,
            self.register,
            load_aliases=self.aliases.load,
            own_left=lambda: self.left[0],
            grace_seconds=grace_seconds,
        )

    def take_postgres(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        async def away(*_: object, **__: object) -> None:
            raise TargetUnavailable("is away")

        patched = pytest.MonkeyPatch()
        for name in ("revision", "load", "confirm", "register"):
            patched.setattr(self.control, name, away)
        monkeypatch.setattr(plane_module, "ATTACHED_SECONDS", 0.5)
        return patched.undo


@pytest.fixture
def rig(
    plane: ControlPlane,
    control: PostgresControl,
    register: MemoryRegister,
    aliases: Aliases,
    monkeypatch: pytest.MonkeyPatch,
) -> Rig:
    """An instance that is quick to notice."""
    monkeypatch.setattr(plane_module, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(plane_module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(plane_module, "_UNDECIDED_SECONDS", 0.3)
    monkeypatch.setattr(detachment_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(detachment_module, "_HELD_SECONDS", 0.1)
    return Rig(plane, control, register, aliases)


async def test_an_instance_without_postgres_decides_by_the_records(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It marks itself first, follows the records and their aliases, and comes back to the control table."""
    state = await staged(rig.control, Stage.SHADOW)
    rig.register.stored["c"] = Record(state, 1)
    async with running(rig.plane.run(), rig.detachment().run()):
        assert not (await rig.plane.current()).is_detached
        back = rig.take_postgres(monkeypatch)
        rig.aliases.names = {"alias": "c"}
        await until(lambda: rig.plane.view.basis is Basis.RECORDS)
        assert rig.plane.instance in rig.register.beats
        live = replace(state, stage=Stage.LIVE, epoch=9)
        rig.register.stored["c"] = Record(live, 2)
        await until(lambda: rig.plane.view.state("c") == live)
        view = await rig.plane.current()
        assert (view.is_known, view.physical("alias")) == (True, "c")

        back()
        await until(lambda: not rig.plane.view.is_detached)
        assert rig.plane.view.state("c") == state
        await until(lambda: not rig.register.beats)


async def test_a_look_is_no_older_than_a_lease(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the source goes as well nothing is decided any more, by neither store's last word."""
    await staged(rig.control, Stage.SHADOW)
    async with running(rig.plane.run(), rig.detachment(grace_seconds=20).run()):
        rig.take_postgres(monkeypatch)
        await until(lambda: rig.plane.view.is_detached)
        rig.register.error = SourceUnavailable("is away")
        await asyncio.sleep(LEASE_SECONDS)
        with pytest.raises(Overloaded, match="not known"):
            await rig.plane.current()
        rig.register.error = None
        assert (await rig.plane.current()).is_detached


async def test_the_view_of_postgres_ends_by_itself(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to notice the outage: an instance that stood still does not decide by what it knew before."""
    await staged(rig.control, Stage.SHADOW)
    await rig.plane.refresh()
    assert (await rig.plane.current()).state("c").stage is Stage.SHADOW
    monkeypatch.setattr(plane_module, "ATTACHED_SECONDS", 0.0)
    with pytest.raises(Overloaded, match="not known"):
        await rig.plane.current()


async def test_a_heartbeat_counts_only_after_a_look_at_the_revision(rig: Rig) -> None:
    """Between the last look and the heartbeat others may have gone on without this instance."""
    await staged(rig.control, Stage.SHADOW)
    await rig.plane.refresh()
    contact = rig.plane._contact_at
    rig.plane._beat_at = 0.0
    await rig.plane._confirm()
    assert rig.plane._contact_at == contact
    await rig.plane.refresh()
    assert rig.plane._contact_at == rig.plane._beat_at > contact


async def test_an_instance_that_never_reached_postgres_knows_nothing(
    control: PostgresControl,
    register: MemoryRegister,
    aliases: Aliases,
    rig: Rig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It says so in the view, until the first contact."""
    state = await staged(control, Stage.SHADOW)
    register.stored["c"] = Record(state, 1)
    rig.plane = plane_on(control, aliases)
    back = rig.take_postgres(monkeypatch)
    with pytest.raises(TargetUnavailable):
        await rig.plane.start()
    async with running(rig.plane.run(), rig.detachment().run()):
        await until(lambda: rig.plane.view.is_detached)
        assert not rig.plane.view.is_known
        assert rig.plane.view.state("c") == state
        back()
        await until(lambda: not rig.plane.view.is_detached)
        assert rig.plane.view.is_known


async def test_a_source_that_takes_no_mark(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records are still read, and the view says that nothing mirrored may pass by them."""
    rig.register.mark_error = StoreAnswered(403, b"read-only")
    async with running(rig.plane.run(), rig.detachment().run()):
        rig.take_postgres(monkeypatch)
        await until(lambda: rig.plane.view.basis is Basis.UNMARKED)
        rig.register.mark_error = None
        await until(lambda: rig.plane.view.basis is Basis.RECORDS)


async def test_a_hint_needs_a_mark_and_in_ramp_a_lease(rig: Rig) -> None:
    """Others may have looked just before the mark was there, and read the target for so long."""
    detachment = rig.detachment(grace_seconds=20)
    began = time.monotonic()
    await detachment.announced(reads_may_be_moved=False)
    assert rig.plane.instance in rig.register.beats
    assert time.monotonic() - began < LEASE_SECONDS / 2
    await detachment.announced(reads_may_be_moved=True)
    assert time.monotonic() - began >= LEASE_SECONDS
    again = time.monotonic()
    await detachment.announced(reads_may_be_moved=True)
    assert time.monotonic() - again < LEASE_SECONDS / 2


async def test_a_mark_that_was_not_renewed_counts_for_nothing(rig: Rig) -> None:
    """Others take away what does not beat: after half the grace period it is put again, and waited for again."""
    detachment = rig.detachment(grace_seconds=0.2)
    await detachment.announced(reads_may_be_moved=True)
    rig.register.beats.clear()
    await asyncio.sleep(0.11)
    assert not detachment.is_marked
    began = time.monotonic()
    await detachment.announced(reads_may_be_moved=True)
    assert rig.plane.instance in rig.register.beats
    assert time.monotonic() - began >= LEASE_SECONDS


async def test_a_hint_without_a_mark_is_refused(rig: Rig) -> None:
    """What the source says is passed on."""
    rig.register.mark_error = StoreAnswered(403, b"read-only")
    with pytest.raises(StoreAnswered):
        await rig.detachment().announced(reads_may_be_moved=False)


async def test_the_mark_stays_as_long_as_a_hint_is_left(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It beats meanwhile, although Postgres is there; then it goes, and the next hint puts it again."""
    monkeypatch.setattr(plane_module, "SILENT_SECONDS", 60.0)
    rig.left[0] = True
    detachment = rig.detachment()
    async with running(rig.plane.run(), detachment.run()):
        await detachment.announced(reads_may_be_moved=False)
        await until(lambda: rig.register.beats.get(rig.plane.instance, 0) > 1)
        assert not (await rig.plane.current()).is_detached
        rig.left[0] = False
        await until(lambda: not rig.register.beats)
        await detachment.announced(reads_may_be_moved=False)
        assert rig.register.beats


async def test_a_frozen_record_is_waited_for(rig: Rig) -> None:
    """A hint that met it is tried again when the change has ended, not before."""
    state = await staged(rig.control, Stage.SHADOW)
    frozen = Record(replace(state, frozen=True), 1)
    rig.register.stored["c"] = frozen
    rig.left[0] = True
    detachment = rig.detachment()
    async with running(rig.plane.run(), detachment.run()):
        await detachment.announced(reads_may_be_moved=False)
        await until(lambda: rig.plane._look is not None)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(rig.plane.renewed("c"))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            rig.register.stored["c"] = Record(state, 2)
        assert (await current(rig.control)) == rig.plane.view.state("c")
