"""Work that is given up does not keep anybody waiting."""

import asyncio
import time

import pytest

from service.proxy import attempts as attempts_module
from service.proxy.attempts import Attempts
from tests.service.running import running


async def _answer() -> str:
    await asyncio.sleep(0)
    return "done"


async def _fail() -> str:
    raise KeyError


async def _hang(released: asyncio.Event) -> str:
    """Work like a driver's: it takes its time to be cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        await released.wait()
    return "never"


async def test_what_is_done_in_time_is_returned_or_raised() -> None:
    """As if it had been awaited."""
    attempts = Attempts()
    async with running(attempts.run()):
        await asyncio.sleep(0)
        assert await attempts.within(5.0, _answer()) == "done"
        with pytest.raises(KeyError):
            await attempts.within(5.0, _fail())


async def test_what_takes_too_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiter goes on at once; when too much was left alone nothing more is begun."""
    monkeypatch.setattr(attempts_module, "_MOST", 1)
    attempts, released = Attempts(), asyncio.Event()
    async with running(attempts.run()):
        await asyncio.sleep(0)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await attempts.within(0.05, _hang(released))
        assert time.monotonic() - began < 2.0
        with pytest.raises(TimeoutError):
            await attempts.within(5.0, _answer())
        released.set()
        await asyncio.sleep(0.01)
        assert await attempts.within(5.0, _answer()) == "done"
