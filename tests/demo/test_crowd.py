"""Tests of running and pausing the clients."""

import asyncio
from typing import cast

from tests.demo.clients import Client
from tests.demo.crowd import Crowd


class SlowClient:
    """Takes a moment for each step and remembers whether it was writing."""

    def __init__(self) -> None:
        self.is_writing = False
        self.reads = self.writes = 0

    async def step(self, *, may_write: bool) -> None:
        self.is_writing = may_write
        await asyncio.sleep(0.005)
        self.writes += may_write
        self.reads += not may_write
        self.is_writing = False

    async def pause(self) -> None:
        await asyncio.sleep(0)


async def test_a_pause_begins_after_the_last_write_and_ends_with_the_block() -> None:
    """Inside the block nothing is being written, while reads go on."""
    clients = [SlowClient() for _ in range(4)]
    crowd = Crowd([cast("Client", client) for client in clients])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crowd.run())
        await asyncio.sleep(0.02)
        async with crowd.paused_writers():
            assert not any(client.is_writing for client in clients)
            before = [(client.writes, client.reads) for client in clients]
            await asyncio.sleep(0.03)
            inside = [(client.writes, client.reads) for client in clients]
        await asyncio.sleep(0.03)
        await crowd.stop()
    assert [writes for writes, _ in inside] == [writes for writes, _ in before]
    assert all(now[1] > then[1] for now, then in zip(inside, before, strict=True))
    after = [client.writes for client in clients]
    assert all(now > then[0] for now, then in zip(after, inside, strict=True))


async def test_stop_lets_the_steps_end() -> None:
    """Nothing is in flight when the clients have stopped."""
    client = SlowClient()
    crowd = Crowd([cast("Client", client)])
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(crowd.run())
        await asyncio.sleep(0.01)
        await crowd.stop()
        steps = client.writes
        await run
    assert client.writes == steps
