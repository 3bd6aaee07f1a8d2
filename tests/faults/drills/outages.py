"""The store that is not right is away for long, under load: no client may notice beyond the stated budget (I5)."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from tests.faults.drill import Drill, Storm
from tests.faults.history import DrillFailed, History

BUDGET_SECONDS = 0.25
"""How much the 99th percentile of a write's latency may grow during an outage, on a small busy machine."""

SECONDS_VARIABLE = "VECFERRY_TEST_OUTAGE_SECONDS"
_BEFORE_SECONDS = 4.0
_SETTLING_SECONDS = 2.0

Away = Callable[[History], Awaitable[None]]


async def _postgres_killed(history: History) -> None:
    await history.rig.postgres.kill()


async def _postgres_silent(history: History) -> None:
    for instance in history.rig.instances:
        instance.to_postgres.hold()


async def _qdrant_killed(history: History) -> None:
    if history.rig.qdrant is None:
        raise DrillFailed("the source is not ours to hurt")
    await history.rig.qdrant.kill()


async def _qdrant_silent(history: History) -> None:
    for instance in history.rig.instances:
        instance.to_qdrant.hold()


def _storm(away: Away, share: float) -> Storm:
    async def storm(history: History) -> str:
        seconds = float(os.environ.get(SECONDS_VARIABLE, "30")) * share
        diary = history.diary
        start = diary.now
        await asyncio.sleep(_BEFORE_SECONDS)
        began = diary.now
        await away(history)
        await asyncio.sleep(seconds)
        ended = diary.now
        await history.rig.heal()
        await asyncio.sleep(_SETTLING_SECONDS)
        before = diary.percentile(99, start, began)
        during = diary.percentile(99, began, ended)
        worst = diary.percentile(100, began, ended)
        said = (
            f"away {seconds:.0f} s; p99 {before * 1000:.0f} → {during * 1000:.0f} ms,"
            f" added {(during - before) * 1000:.0f} of {BUDGET_SECONDS * 1000:.0f} ms,"
            f" longest {worst * 1000:.0f} ms"
        )
        if not during - before <= BUDGET_SECONDS:
            raise DrillFailed(f"slower than allowed: {said}")
        return said

    return storm


def drills() -> list[Drill]:
    """Return the outages, the longest first."""
    return [
        Drill(
            "postgres away, source is right",
            "shadow",
            _storm(_postgres_killed, 1.0),
            may_fail=False,
        ),
        Drill("postgres silent, ramp", "ramp", _storm(_postgres_silent, 1.0), may_fail=False),
        Drill(
            "qdrant away, target is right",
            "live",
            _storm(_qdrant_killed, 1.0),
            may_fail=False,
            own_qdrant=True,
        ),
        Drill(
            "qdrant silent, target is right", "live", _storm(_qdrant_silent, 0.5), may_fail=False
        ),
    ]
