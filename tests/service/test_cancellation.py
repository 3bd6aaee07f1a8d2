"""A cancellation that comes together with an error."""

import asyncio

from service.cancellation import end_if_cancelled


async def test_a_lost_cancellation_is_found() -> None:
    """The group's child fails at the moment the task is cancelled: the task ends all the same."""

    async def fail() -> None:
        looping.cancel()
        raise ValueError

    async def loop() -> None:
        while True:
            end_if_cancelled()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(fail())
            except ExceptionGroup:
                await asyncio.sleep(0)

    async with asyncio.timeout(1.0), asyncio.TaskGroup() as owner:
        looping = owner.create_task(loop())
    assert looping.cancelled()


async def test_nothing_happens_otherwise() -> None:
    """A task that nobody asked to end goes on."""
    end_if_cancelled()
