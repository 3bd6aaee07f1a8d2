"""The relay does to a connection what a drill tells it to."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Self

import pytest

from tests.faults.wire import Way, Wire


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(100):
        writer.write(piece)
    writer.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A relay to a server that answers what it is sent."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Wire("127.0.0.1", server.sockets[0].getsockname()[1]).laid() as laid:
        yield laid


class _Client:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._wire.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()

    async def said(self, text: bytes, seconds: float = 5.0) -> bytes:
        self._writer.write(text)
        return await asyncio.wait_for(self._reader.readexactly(len(text)), seconds)


async def test_it_relays(wire: Wire) -> None:
    """Both ways, several times on one connection."""
    async with _Client(wire) as client:
        assert await client.said(b"one") == b"one"
        assert await client.said(b"two") == b"two"


async def test_it_delays(wire: Wire) -> None:
    """A question and its answer are each held up."""
    wire.delay(0.1)
    async with _Client(wire) as client:
        began = time.monotonic()
        await client.said(b"one")
        assert time.monotonic() - began >= 0.2


async def test_it_delays_only_what_has_some_bytes(wire: Wire) -> None:
    """Everything else passes at once."""
    wire.delay(30.0, only=b"slow")
    async with _Client(wire) as client:
        assert await client.said(b"quick") == b"quick"
    wire.delay(0.1, only=b"slow")
    async with _Client(wire) as client:
        began = time.monotonic()
        await client.said(b"a slow one")
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("way", list(Way))
async def test_what_it_held_arrives_late(wire: Wire, way: Way) -> None:
    """Nothing comes back while it holds; afterwards what was sent is answered."""
    async with _Client(wire) as client:
        await client.said(b"before")
        wire.hold(way)
        with pytest.raises(TimeoutError):
            await client.said(b"one", 0.2)
        wire.pass_all()
        assert await client.said(b"") == b""
        assert await asyncio.wait_for(client._reader.readexactly(3), 5) == b"one"


async def test_it_cuts(wire: Wire) -> None:
    """Connections are reset, new ones too, until it passes again."""
    async with _Client(wire) as client:
        await client.said(b"one")
        wire.cut()
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await client.said(b"two")
    async with _Client(wire) as client:
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await client.said(b"three")
    wire.pass_all()
    async with _Client(wire) as client:
        assert await client.said(b"four") == b"four"
