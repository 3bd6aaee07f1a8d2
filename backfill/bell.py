"""Waking those who wait for work of this process, so that a poll's pause is not added to every step of a job."""

import asyncio
from contextlib import suppress


class Bell:
    """Rung when there may be something to claim. One bell is shared by all who wait in a process."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._times = 0

    @property
    def times(self) -> int:
        """How often it was rung: to be taken before one looks whether there is work."""
        return self._times

    def ring(self) -> None:
        """Wake everyone who waits, and let those who are looking look again."""
        self._times += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def wait(self, heard: int, seconds: float) -> bool:
        """Return true when it has been rung since ``heard``, false after ``seconds``."""
        if self._times == heard:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._rung.wait()
        return self._times != heard
