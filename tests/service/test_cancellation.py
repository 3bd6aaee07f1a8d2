"""A cancellation that comes together with an error."""

import asyncio

import pytest

from service.cancellation import end_if_cancelled


async def test_a_lost_cancellation_is_found() -> None:
    """The group's child fails at the moment the task is cancelled: the task ends all the same."""

    async def fail() -> None:
        looping.cancel()
        raise ValueError

    async def loop() -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await tasks.create_task(fail())
            except ExceptionGroup:
                end_if_cancelled()

    async with asyncio.timeout(1.0), asyncio.TaskGroup() as owner:
        looping = owner.create_task(loop())
    assert looping.cancelled()


async def test_an_error_alone_ends_nothing() -> None:
    """A task that nobody asked to end goes on."""

    async def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            await tasks.create_task(fail())
    end_if_cancelled()
