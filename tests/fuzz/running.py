"""Both systems in an event loop that also runs while Hypothesis, in the main thread, makes up its mind."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.parity.rig import Rig, rig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Running:
    """The systems, and the loop they run in."""

    both: Rig
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine beside the systems and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


@contextmanager
def running_rig(database_url: str, folder: Path) -> Iterator[Running]:
    """Start both systems in a thread, and stop them at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop, ready = asyncio.Event(), threading.Event()
    started: list[Running] = []

    async def live() -> None:
        # Entered and left in one task, as task groups want it.
        try:
            async with rig(database_url, folder) as both:
                started.append(Running(both, loop))
                ready.set()
                await stop.wait()
        finally:
            ready.set()

    living = asyncio.run_coroutine_threadsafe(live(), loop)
    try:
        ready.wait()
        if started:
            yield started[0]
        loop.call_soon_threadsafe(stop.set)
        living.result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
