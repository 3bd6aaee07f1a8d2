"""Having the next things ready before they are asked for."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Generic, TypeVar

from service.cancellation import end_if_cancelled
from service.errors import VecferryError

T = TypeVar("T")


class Ahead(Generic[T]):
    """What an iterator yields, taken from it by a task that may be ``most`` ahead; made by :func:`ahead_of`."""

    def __init__(self, most: int) -> None:
        self._ready: asyncio.Queue[T | VecferryError | None] = asyncio.Queue(most)

    async def fill(self, things: AsyncGenerator[T, None]) -> None:
        """Take everything from the iterator, an error of ours included."""
        try:
            async with aclosing(things):
                async for each in things:
                    await self._ready.put(each)
        except VecferryError as error:
            await self._ready.put(error)
        else:
            await self._ready.put(None)

    async def take(self) -> T | None:
        """Return the next one, ``None`` behind the last. Raises what the iterator raised there."""
        found = await self._ready.get()
        if isinstance(found, VecferryError):
            raise found
        return found


@asynccontextmanager
async def ahead_of(things: AsyncGenerator[T, None], most: int) -> AsyncIterator[Ahead[T]]:
    """Run the iterator until it ends or the block does; errors of the block are raised by themselves."""
    ahead: Ahead[T] = Ahead(most)
    try:
        async with asyncio.TaskGroup() as owner:
            filling = owner.create_task(ahead.fill(things))
            yield ahead
            filling.cancel()
    except ExceptionGroup as errors:
        end_if_cancelled()
        error = errors.exceptions[0]
        raise error from error.__cause__
