"""The network between one instance, or all of them, and a store delays, resets or swallows."""

import asyncio
from collections.abc import Callable

from tests.faults.drill import Drill, Storm
from tests.faults.history import History
from tests.faults.instances import GRACE_SECONDS
from tests.faults.wire import Way, Wire

Trouble = Callable[[Wire], None]

_SECONDS = GRACE_SECONDS * 0.75
"""What is held arrives this late: after the instances have given up on it, and within the grace period."""

_TROUBLES: dict[str, Trouble] = {
    "delay": lambda wire: wire.delay(0.15),
    "reset": lambda wire: wire.reset(),
    "cut": lambda wire: wire.cut(),
    "hold requests": lambda wire: wire.hold(Way.REQUESTS),
    "hold answers": lambda wire: wire.hold(Way.ANSWERS),
}


def _storm(store: str, trouble: Trouble) -> Storm:
    async def storm(history: History) -> None:
        instances = history.rig.instances
        for victims in (instances[:1], instances):
            wires = [
                instance.to_postgres if store == "postgres" else instance.to_qdrant
                for instance in victims
            ]
            for wire in wires:
                trouble(wire)
            await asyncio.sleep(_SECONDS)
            for wire in wires:
                wire.pass_all()
            await asyncio.sleep(0.5)

    return storm


def drills() -> list[Drill]:
    """Return every trouble with every store, with either of them right."""
    return [
        Drill(f"{name} {store}, {stage}", stage, _storm(store, trouble))
        for store in ("postgres", "qdrant")
        for name, trouble in _TROUBLES.items()
        for stage in ("ramp", "live")
    ]
