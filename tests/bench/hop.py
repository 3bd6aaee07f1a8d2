"""A network hop that makes every page of a scroll come later, in front of a Qdrant on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 18
_PAGE_REQUEST = b"/points/scroll "


@asynccontextmanager
async def delaying(url: str, seconds: float) -> AsyncIterator[str]:
    """Yield the URL of a relay to ``url`` that holds requests for a page up for so long.

    Their heads come in one piece: the client writes them at once.
    """
    parts = urlsplit(url)
    clients: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        clients.add(task)
        task.add_done_callback(clients.discard)
        with suppress(ConnectionError, asyncio.CancelledError):
            await _relayed(reader, writer, parts.hostname or "", parts.port or 0, seconds)

    async with await asyncio.start_server(serve, "127.0.0.1", limit=_PIECE) as server:
        port = server.sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.close()
            for client in list(clients):
                client.cancel()


async def _relayed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int, seconds: float
) -> None:
    back_reader, back_writer = await asyncio.open_connection(host, port, limit=_PIECE)
    try:
        async with asyncio.TaskGroup() as ways:
            ways.create_task(_pumped(reader, back_writer, seconds))
            ways.create_task(_pumped(back_reader, writer, 0.0))
    finally:
        for end in (writer, back_writer):
            end.close()


async def _pumped(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float
) -> None:
    while piece := await reader.read(_PIECE):
        if seconds and _PAGE_REQUEST in piece:
            await asyncio.sleep(seconds)
        writer.write(piece)
        await writer.drain()
    writer.close()
