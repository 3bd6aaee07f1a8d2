"""A TCP relay that delays, cuts or holds what passes, each way, on command.

A hold is a network that swallows packets: connections stay, nothing arrives. What was held arrives late when the hold
ends, which is what a retransmission does to a peer that has long stopped waiting.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

_CHUNK = 256 * 1024
_CLOSING_SECONDS = 0.01


class Way(Enum):
    """A direction."""

    REQUESTS = auto()
    ANSWERS = auto()


class Wire:
    """Relays a port of its own to ``host:port``; passes everything at first."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._open = {way: asyncio.Event() for way in Way}
        self._delay, self._delayed = 0.0, b""
        self._is_cut = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.pass_all()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        """Relay for the length of the block."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0, limit=_CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.pass_all()
            while self._writers:
                self._abort()
                await asyncio.sleep(_CLOSING_SECONDS)
            await server.wait_closed()

    def pass_all(self) -> None:
        """Relay everything at once; what was held goes on its way."""
        self._delay, self._delayed, self._is_cut = 0.0, b"", False
        for gate in self._open.values():
            gate.set()

    def delay(self, seconds: float, *, only: bytes = b"") -> None:
        """Hold every piece up for so long that has these bytes: what is sent at once mostly comes as one."""
        self._delay, self._delayed = seconds, only

    def hold(self, *ways: Way) -> None:
        """Swallow everything that goes this way until ``pass_all``; both ways by default."""
        for way in ways or Way:
            self._open[way].clear()

    def reset(self) -> None:
        """Reset every connection; new ones are relayed."""
        self._abort()

    def cut(self) -> None:
        """Reset every connection, and new ones as well, until ``pass_all``."""
        self._is_cut = True
        self._abort()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            with suppress(OSError):
                await self._between(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._upstream, limit=_CHUNK)
        self._writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer, Way.REQUESTS))
                tasks.create_task(self._pump(far_reader, writer, Way.ANSWERS))
        except* OSError:
            pass  # one side is gone: the other shall know
        finally:
            self._writers.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way
    ) -> None:
        while piece := await reader.read(_CHUNK):
            await asyncio.sleep(self._delay if self._delayed in piece else 0.0)
            await self._open[way].wait()
            writer.write(piece)
            await writer.drain()
        await self._open[way].wait()
        if writer.can_write_eof():
            writer.write_eof()
