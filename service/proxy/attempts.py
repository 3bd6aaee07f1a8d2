"""Work that its client may stop waiting for: it is cancelled, but whoever waited does not wait for that."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_MOST = 256


class Attempts:
    """Owns what was begun. A driver may take seconds to give up on a server that hangs."""

    def __init__(self) -> None:
        self._tasks: asyncio.TaskGroup | None = None
        self._count = 0

    async def run(self) -> None:
        """Own the attempts until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    async def within(self, seconds: float, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Return what the work returns, or raise what it raises.

        Raises ``TimeoutError`` when it takes longer, and at once when too much that was given up has not ended.
        """
        if self._tasks is None or self._count >= _MOST:
            work.close()
            raise TimeoutError
        ended: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        task = self._tasks.create_task(self._report(work, ended))
        task.add_done_callback(lambda _: work.close())  # if it was cancelled before it began
        try:
            async with asyncio.timeout(seconds):
                return await ended
        finally:
            task.cancel()

    async def _report(
        self, work: Coroutine[Any, Any, _Result], ended: "asyncio.Future[_Result]"
    ) -> None:
        self._count += 1
        try:
            result = await work
        except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
            if not ended.done():
                ended.set_exception(error)
        else:
            if not ended.done():
                ended.set_result(result)
        finally:
            self._count -= 1
