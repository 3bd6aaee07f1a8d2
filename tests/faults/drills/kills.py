"""An instance is killed, or stops for longer than the grace period, exactly at a named point of the protocol."""

import asyncio
import itertools
import signal
from collections.abc import Callable, Coroutine

from service.steps import Step
from tests.faults.drill import Drill, Storm
from tests.faults.history import DrillFailed, History
from tests.faults.instances import GRACE_SECONDS, Instance

Lure = Callable[[History, Instance, asyncio.Event], Coroutine[None, None, None]]
"""Brings an instance to the step, again and again, and ends what it began when the event says that it is enough."""

_PATIENCE_SECONDS = 2.0
_OBEYED_SECONDS = 20.0
_HUSHED_SHARE = 0.5
"""Half of the time nobody writes after the kill."""
_MOST_ARRIVALS = 4
"""Writes come often; every other step is taken at its first arrival."""


async def _writes(history: History, victim: Instance, enough: asyncio.Event) -> None:
    """The writers are enough."""


async def _loses_postgres(history: History, victim: Instance, enough: asyncio.Event) -> None:
    """The instance is without Postgres for a moment, and has it back, in turns."""
    while not enough.is_set():
        victim.to_postgres.cut()
        await asyncio.sleep(history.random.uniform(0.5, 1.5))
        victim.to_postgres.pass_all()
        await asyncio.sleep(history.random.uniform(1.0, 2.0))


async def _changes_stage(history: History, victim: Instance, enough: asyncio.Event) -> None:
    """The instance carries out changes in both directions; what is refused is tried again."""
    for stage in itertools.cycle(("ramp", "live", "shadow", "live")):
        if enough.is_set():
            break
        await history.try_stage(stage, by=victim)


async def _changes_collection(history: History, victim: Instance, enough: asyncio.Event) -> None:
    """The collection is dropped and made again through the instance."""
    while not enough.is_set():
        await history.recreate(by=victim)


_LURES: dict[Step, tuple[str, Lure]] = {
    Step.INTENT_COMMITTED: ("dualwrite", _writes),
    Step.SOURCE_ANSWERED: ("ramp", _writes),
    Step.RESYNC_LOCKED: ("dualwrite", _writes),
    Step.RESYNC_READ: ("shadow", _writes),
    Step.RESYNC_WRITTEN: ("ramp", _writes),
    Step.RESYNC_COMMITTED: ("dualwrite", _writes),
    Step.OUTBOX_WRITTEN: ("live", _writes),
    Step.OUTBOX_COMMITTED: ("live", _writes),
    Step.PUSH_ATTEMPTED: ("live", _writes),
    Step.PUSHED: ("rampdown", _writes),
    Step.PUSH_SETTLED: ("live", _writes),
    Step.DETACHED: ("ramp", _loses_postgres),
    Step.HINT_WRITTEN: ("dualwrite", _loses_postgres),
    Step.HINT_CHECKED: ("shadow", _loses_postgres),
    Step.HINTS_READ: ("dualwrite", _loses_postgres),
    Step.HINTS_TAKEN: ("dualwrite", _loses_postgres),
    Step.HINTS_DISCARDED: ("dualwrite", _loses_postgres),
    Step.STAGE_FROZEN: ("shadow", _changes_stage),
    Step.RECORD_FROZEN: ("shadow", _changes_stage),
    Step.STAGE_PUBLISHED: ("shadow", _changes_stage),
    Step.RECORD_SYNCED: ("shadow", _changes_stage),
    Step.CHANGE_INTENDED: ("dualwrite", _changes_collection),
    Step.CHANGE_ON_SOURCE: ("dualwrite", _changes_collection),
    Step.CHANGE_SETTLED: ("dualwrite", _changes_collection),
}

_ZOMBIES = {
    Step.INTENT_COMMITTED: "dualwrite",
    Step.SOURCE_ANSWERED: "ramp",
    Step.RESYNC_READ: "dualwrite",
    Step.OUTBOX_WRITTEN: "live",
    Step.PUSH_ATTEMPTED: "live",
}
"""Where an instance that sleeps for longer than the grace period could do harm when it wakes up."""


def _killed_at(step: Step, lure: Lure) -> Storm:
    async def storm(history: History) -> None:
        victim = history.random.choice(history.rig.instances)
        await _ordered(history, victim, signal.SIGKILL, step, lure)
        await victim.process.ended()
        if history.random.random() < _HUSHED_SHARE:
            history.hush()
        await asyncio.sleep(history.random.uniform(0.2, 1.5))
        await victim.heal()

    return storm


def _asleep_at(step: Step) -> Storm:
    async def storm(history: History) -> None:
        victim = history.random.choice(history.rig.instances)
        _impatient(history)
        await _ordered(history, victim, signal.SIGSTOP, step, _writes)
        _avoid(history, victim)
        await asyncio.sleep(GRACE_SECONDS * 2)
        history.hush()
        victim.process.signal_all(signal.SIGCONT)
        await asyncio.sleep(1.0)

    return storm


async def _asleep_through_the_flip(history: History) -> None:
    """A write is about to reach the source when its instance sleeps; it wakes up after the target has become right."""
    victim, other = history.rig.instances[:2]
    _impatient(history)
    await _ordered(history, victim, signal.SIGSTOP, Step.INTENT_COMMITTED, _writes)
    _avoid(history, victim)
    await history.walk("live", by=other)
    await asyncio.sleep(1.0)
    history.hush()
    victim.process.signal_all(signal.SIGCONT)
    await asyncio.sleep(2.0)
    await history.walk("shadow", by=other)


def _impatient(history: History) -> None:
    """Have the clients give up soon, so that they write the same ids again while the first write sleeps."""
    for writer in history.writers:
        writer.patience_seconds = _PATIENCE_SECONDS


def _avoid(history: History, victim: Instance) -> None:
    for writer in history.writers:
        writer.avoided = victim.url


async def _ordered(
    history: History, victim: Instance, number: signal.Signals, step: Step, lure: Lure
) -> None:
    """Give the order and bring the instance to the step. Raises ``DrillFailed`` when it never gets there."""
    most = _MOST_ARRIVALS if lure is _writes else 1
    victim.order(number, step, history.random.randint(1, most))
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lure(history, victim, enough))
        is_done = await victim.obeyed(_OBEYED_SECONDS)
        enough.set()
    if not is_done:
        raise DrillFailed(f"no instance came to {step} within {_OBEYED_SECONDS:g} s")


def drills() -> list[Drill]:
    """Return one drill per step that kills there, and some that sleep there."""
    killed = [
        Drill(f"kill at {step}", stage, _killed_at(step, lure))
        for step, (stage, lure) in _LURES.items()
    ]
    asleep = [
        Drill(f"sleep at {step}", stage, _asleep_at(step)) for step, stage in _ZOMBIES.items()
    ]
    flip = Drill("sleep at intent-committed, target flips", "ramp", _asleep_through_the_flip)
    return [*killed, *asleep, flip]
