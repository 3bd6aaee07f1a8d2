"""Worker processes, each between two wires: they come, work on ranges, and are killed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.faults.instances import SETTINGS, wired
from tests.faults.processes import Managed
from tests.faults.rig import Rig
from tests.faults.wire import Wire
from tests.processes import free_port

_SLOW_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker process."""

    process: Managed
    to_qdrant: Wire
    to_postgres: Wire


@asynccontextmanager
async def crew(rig: Rig, count: int, ranges: int = 1) -> AsyncIterator[list[Hand]]:
    """Run workers with so many ranges each inside the block, and kill them at its end, wherever they are.

    Their wires are slow, so that what a page has read is old when it is written.
    """
    async with AsyncExitStack() as stack:
        hands: list[Hand] = []
        for number in range(count):
            (to_qdrant, to_postgres), addresses = await stack.enter_async_context(
                wired(rig.qdrant_url, rig.postgres)
            )
            to_qdrant.delay(_SLOW_SECONDS)
            to_postgres.delay(_SLOW_SECONDS)
            process = Managed(
                "service",
                ("worker", "--ranges", str(ranges), "--metrics-port", str(port := free_port())),
                SETTINGS | addresses,
                rig.directory / f"worker-{number}.log",
            )
            stack.push_async_callback(process.kill)
            process.start()
            hands.append(Hand(process, to_qdrant, to_postgres))
            async with aiohttp.ClientSession() as http:
                await process.answers(http, f"http://127.0.0.1:{port}/readyz")
        yield hands
