"""Stages change, and collections come and go, while they are written through two instances."""

import asyncio
import signal

from tests.faults.drill import Drill
from tests.faults.history import History

_UP_AND_DOWN = ("dualwrite", "shadow", "ramp", "live", "rampdown", "live", "ramp", "shadow", "live")


async def _up_and_down(history: History) -> None:
    """Every change in both directions, ordered through either instance."""
    for stage in _UP_AND_DOWN:
        await history.walk(stage, by=history.random.choice(history.rig.instances))
        await asyncio.sleep(0.2)


async def _percents(history: History) -> None:
    for percent in (0, 50, 100, 10, 100):
        await history.try_stage("ramp", percent, by=history.random.choice(history.rig.instances))
        await asyncio.sleep(0.4)


async def _while_an_instance_dies(history: History) -> None:
    """One instance dies, the other one changes the stage and does not wait for it for ever."""
    victim, other = history.rig.instances[:2]
    for stage in ("live", "shadow"):
        victim.process.signal_all(signal.SIGKILL)
        await history.walk(stage, by=other)
        await victim.heal()


async def _while_one_lacks_postgres(history: History) -> None:
    """One instance has lost Postgres and writes hints while the other one changes the stage."""
    victim, other = history.rig.instances[:2]
    for stage in ("live", "shadow"):
        victim.to_postgres.cut()
        await asyncio.sleep(1.5)
        # Refused as long as hints come: their requests may still land, so they wait for the grace period.
        await history.try_stage(stage, by=other)
        await asyncio.sleep(0.5)
        victim.to_postgres.pass_all()
        await history.walk(stage, by=other)


async def _re_created(history: History) -> None:
    for _ in range(4):
        await history.recreate()
        await asyncio.sleep(0.5)


async def _re_created_under_writes(history: History) -> None:
    history.is_blind = True
    for _ in range(4):
        await history.recreate(pausing=False)
        await asyncio.sleep(0.5)


async def _backfilled(history: History) -> None:
    """Pages are old when they arrive: what was written or deleted meanwhile must stay as it is."""
    slow = history.rig.instances[0]
    for writer in history.writers:
        writer.avoided = slow.url
    slow.to_qdrant.delay(0.1)
    for _ in range(5):
        await slow.backfill(history.name, restart=True)
    slow.to_qdrant.pass_all()


async def _one_is_slower(history: History) -> None:
    """What one instance reads of Qdrant is older than what the other one reads meanwhile."""
    slower = history.rig.instances[0]
    for _ in range(5):
        slower.to_qdrant.delay(history.random.uniform(0.05, 0.15))
        await asyncio.sleep(0.6)
        await history.look()


def drills() -> list[Drill]:
    """Return the drills in which nothing breaks, and those in which an instance is missing."""
    return [
        Drill("two instances, same ids, ramp", "ramp", _one_is_slower, may_fail=False, rivals=True),
        Drill("two instances, same ids, live", "live", _one_is_slower, may_fail=False, rivals=True),
        Drill("stages up and down", "dualwrite", _up_and_down, may_fail=False),
        Drill(
            "stages up and down, same ids", "dualwrite", _up_and_down, may_fail=False, rivals=True
        ),
        Drill("percentages", "ramp", _percents, may_fail=False),
        Drill("stages while an instance dies", "ramp", _while_an_instance_dies),
        Drill("stages while one lacks postgres", "ramp", _while_one_lacks_postgres),
        Drill("backfill under writes", "ramp", _backfilled, may_fail=False),
        Drill("dropped and re-created", "dualwrite", _re_created, may_fail=False),
        Drill("dropped and re-created under writes", "shadow", _re_created_under_writes),
        Drill("dropped and re-created, target is right", "live", _re_created, may_fail=False),
    ]
