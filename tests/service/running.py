"""Background work for the length of a block, and waiting for what it brings about."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def running(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run coroutines that never end beside the block; one that fails ends the block."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(each) for each in work]
        yield
        for task in started:
            task.cancel()


async def until(is_true: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Wait for a condition. Raises ``TimeoutError``."""
    async with asyncio.timeout(seconds):
        while not is_true():  # noqa: ASYNC110 - what is waited for is told by nobody
            await asyncio.sleep(0.002)
