"""Two things at once."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from service.cancellation import end_if_cancelled

A = TypeVar("A")
B = TypeVar("B")


async def together(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Return both results; the first error ends the other one and is raised by itself."""
    try:
        async with asyncio.TaskGroup() as owner:
            one = owner.create_task(first)
            two = owner.create_task(second)
            await asyncio.wait({one, two})
    except ExceptionGroup as errors:
        end_if_cancelled()
        error = errors.exceptions[0]
        raise error from error.__cause__
    return one.result(), two.result()
