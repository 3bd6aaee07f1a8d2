"""All background clients together, busy from before the migration until after it."""

import asyncio
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from qdrant_client import AsyncQdrantClient

from tests.demo.clients import Client, Material
from tests.demo.failures import DemoFailed
from tests.demo.journal import Journal
from tests.demo.legacy import LegacyPoint
from tests.demo.memory import Memory

_REQUEST_TIMEOUT_SECONDS = 30


class Crowd:
    """Runs the clients; each is in one step at a time, so that pausing leaves nothing in flight."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self._turns = [asyncio.Lock() for _ in clients]
        self._may_write = True
        self._stopping = False

    @property
    def memories(self) -> list[Memory]:
        """What each client was told."""
        return [client.memory for client in self._clients]

    async def run(self) -> None:
        """Keep all clients busy until ``stop``."""
        async with asyncio.TaskGroup() as tasks:
            for client, turn in zip(self._clients, self._turns, strict=True):
                tasks.create_task(self._keep_busy(client, turn))

    async def _keep_busy(self, client: Client, turn: asyncio.Lock) -> None:
        while not self._stopping:
            async with turn:
                await client.step(may_write=self._may_write)
            await client.pause()

    @asynccontextmanager
    async def paused_writers(self) -> AsyncIterator[None]:
        """Enter the block when the last write has its answer; inside, clients only read."""
        self._may_write = False
        await self._finish_steps()
        try:
            yield
        finally:
            self._may_write = True

    async def stop(self) -> None:
        """Stop after the steps that are going on."""
        self._stopping = True
        await self._finish_steps()

    async def _finish_steps(self) -> None:
        for turn in self._turns:
            async with turn:
                pass


@asynccontextmanager
async def gathered(
    url: str, count: int, points: Sequence[LegacyPoint], material: Material, journal: Journal
) -> AsyncIterator[Crowd]:
    """Connect ``count`` clients to ``url`` and deal them the legacy points and disjoint texts."""
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(count):
            qdrant = await asyncio.to_thread(_connect, url)
            stack.push_async_callback(qdrant.close)
            share = Material(material.texts[number::count], material.questions[number::count])
            client = Client(number, qdrant, journal, share)
            for point in points[number::count]:
                client.memory.hold(point.collection, point.id, point.payload, point.vector)
            clients.append(client)
        yield Crowd(clients)


def _connect(url: str) -> AsyncQdrantClient:
    """Return a plain client; its constructor blocks to ask the server's version."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return AsyncQdrantClient(url=url, timeout=_REQUEST_TIMEOUT_SECONDS)
        except UserWarning as warning:
            message = f"the client library does not take {url} for a Qdrant: {warning}"
            raise DemoFailed(message) from warning
