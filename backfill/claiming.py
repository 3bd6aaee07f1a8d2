"""Claiming work from a queue as long as there is some, and looking again at growing pauses when there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from backfill.bell import Bell
from backfill.timing import Timing
from service.errors import VecferryError

_log = structlog.get_logger(__name__)

T = TypeVar("T")


async def claim_and_hold(
    claim: Callable[[], Awaitable[T | None]],
    hold: Callable[[T], Awaitable[None]],
    *,
    most: int,
    bell: Bell,
    timing: Timing,
) -> None:
    """Hold up to ``most`` claims at once, until cancelled; ``hold`` raises nothing. Rings when one has ended."""
    room = asyncio.Semaphore(most)

    async def held(claimed: T) -> None:
        try:
            await hold(claimed)
        finally:
            room.release()
            bell.ring()

    pause = timing.first_idle
    async with asyncio.TaskGroup() as tasks:
        while True:
            await room.acquire()
            heard = bell.times
            claimed = await _claimed(claim)
            if claimed is not None:
                tasks.create_task(held(claimed))
                pause = timing.first_idle
                continue
            room.release()
            was_rung = await bell.wait(heard, pause)
            pause = timing.first_idle if was_rung else min(pause * 1.5, timing.longest_idle)


async def _claimed(claim: Callable[[], Awaitable[T | None]]) -> T | None:
    try:
        return await claim()
    except VecferryError as error:
        _log.warning("queue_unreadable", error=str(error))
        return None
