"""A store is killed, stopped for a while, or restarted, while it is right and while it is not."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.drill import Drill, Storm
from tests.faults.engines import Postgres, Qdrant
from tests.faults.history import DrillFailed, History

Engine = Postgres | Qdrant
Harm = Callable[[Engine], Awaitable[None]]


async def _kill(engine: Engine) -> None:
    await engine.kill()
    await asyncio.sleep(1.0)
    await engine.start()


async def _restart(engine: Engine) -> None:
    await engine.stop()
    await engine.start()


async def _suspend(engine: Engine) -> None:
    engine.suspend()
    # Shorter than the grace period: what lies in its sockets arrives when it wakes up.
    await asyncio.sleep(2.5)
    engine.resume()


def _storm(which: str, harm: Harm) -> Storm:
    async def storm(history: History) -> None:
        engine = history.rig.postgres if which == "postgres" else history.rig.qdrant
        if engine is None:
            raise DrillFailed("the source is not ours to hurt")
        await asyncio.sleep(history.random.uniform(0.2, 1.0))
        await harm(engine)
        await asyncio.sleep(1.0)

    return storm


def drills() -> list[Drill]:
    """Return every harm to every store, with either of them right."""
    harms: dict[str, Harm] = {"kill -9": _kill, "suspend": _suspend, "restart": _restart}
    return [
        Drill(f"{name} {store}, {stage}", stage, _storm(store, harm), own_qdrant=store == "qdrant")
        for store in ("postgres", "qdrant")
        for name, harm in harms.items()
        for stage in ("ramp", "live")
    ]
