"""Who is detached, as others see it."""

import asyncio
import time
from uuid import uuid4

import pytest

from service.control import marks as marks_module
from service.control.marks import MarkWatch
from service.control.plane import ControlPlane
from service.control.register import LEASE_SECONDS
from service.errors import SourceUnavailable
from service.protocol.ledger import Hint
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from tests.service.control.fakes import MemoryRegister
from tests.service.running import running, until
from tests.service.stores.postgres.staged import intent_of, staged


@pytest.fixture
def watch(plane: ControlPlane, register: MemoryRegister) -> MarkWatch:
    """A watch that has not looked."""
    return MarkWatch(plane, register, register, grace_seconds=0.1)


async def test_reads_move_after_a_look_that_found_nobody(
    watch: MarkWatch, register: MemoryRegister
) -> None:
    """The look must be younger than the stage that it allows to read by, and a mark ends it with the lease."""
    before = time.monotonic()
    assert not watch.is_clear(before)
    await watch.look()
    assert watch.is_clear(before)
    assert not watch.is_clear(time.monotonic())
    register.beats[uuid4()] = 1
    later = time.monotonic()
    await watch.look()
    assert not watch.is_clear(later)


async def test_a_look_ends_with_its_lease(
    watch: MarkWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that does not answer leaves nothing to go by."""
    await watch.look()
    assert watch.is_clear(0.0)
    monkeypatch.setattr(watch, "_clear_since", watch._clear_since - LEASE_SECONDS)
    assert not watch.is_clear(0.0)


async def test_the_marks_of_the_dead_go(
    watch: MarkWatch,
    register: MemoryRegister,
    plane: ControlPlane,
    control: PostgresControl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the grace period without a beat, when none of their hints is left; our own stays."""
    monkeypatch.setattr(marks_module, "_RAMP_POLL_SECONDS", 0.02)
    state = await staged(control, Stage.RAMP)
    await plane.refresh()
    dead, heir, alive = uuid4(), uuid4(), uuid4()
    register.beats = {dead: 3, heir: 1, alive: 1, plane.instance: 1}
    register.hints = [Hint(intent_of(state, 1), heir)]
    async with running(watch.run()):
        for beat in range(2, 12):
            register.beats[alive] = beat
            await watch.look()
            await asyncio.sleep(0.03)
        assert set(register.beats) == {heir, alive, plane.instance}
        register.hints.clear()
        await until(lambda: heir not in register.beats)


async def test_who_comes_back_from_the_dead_keeps_its_mark(
    watch: MarkWatch, register: MemoryRegister, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may renew its mark while somebody makes sure that it left no hint: it relies on it from then on (R6)."""
    zombie = uuid4()
    register.beats = {zombie: 3}
    await watch.look()
    await asyncio.sleep(0.15)

    async def wakes_up(**_: object) -> list[Hint]:
        register.beats[zombie] = 4
        return []

    monkeypatch.setattr(register, "read", wakes_up)
    await watch.look()
    assert register.beats == {zombie: 4}


async def test_a_source_that_fails_ends_nothing(
    watch: MarkWatch,
    register: MemoryRegister,
    plane: ControlPlane,
    control: PostgresControl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next look follows."""
    monkeypatch.setattr(marks_module, "_RAMP_POLL_SECONDS", 0.02)
    await staged(control, Stage.RAMP)
    await plane.refresh()
    register.error = SourceUnavailable("is away")
    async with running(watch.run()):
        register.error = None
        await until(lambda: watch.is_clear(0.0))
