"""A server on the level of bytes: it notes what arrives, answers from a script, and breaks off on request."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Say:
    """One scripted answer; with ``closes`` the connection ends right after it, whatever was promised."""

    answer: bytes
    closes: bool = False


HANG_UP = Say(b"", closes=True)


@dataclass(slots=True)
class RawServer:
    """What happened: whole requests, the beginnings of broken ones, and the number of connections."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)
    connections: int = 0


def ok(body: bytes = b"{}", *headers: bytes) -> Say:
    """Return an answer 200 with a content length."""
    head = [b"HTTP/1.1 200 OK", *headers, b"content-length: %d" % len(body)]
    return Say(b"\r\n".join(head) + b"\r\n\r\n" + body)


@asynccontextmanager
async def raw_server(*script: Say) -> AsyncIterator[RawServer]:
    """Serve the script in order, one answer per request; afterwards every connection is closed."""
    seen, left, idle = RawServer(), iter(script), asyncio.Condition()
    talking = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal talking
        seen.connections += 1
        talking += 1
        try:
            await _talk(reader, writer, seen, left)
        finally:
            writer.close()
            async with idle:
                talking -= 1
                idle.notify_all()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    seen.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield seen
        # The clients have closed their connections by now: see what the last bytes were.
        async with asyncio.timeout(_CLOSE_SECONDS), idle:
            await idle.wait_for(lambda: not talking)


async def _talk(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    seen: RawServer,
    script: Iterable[Say],
) -> None:
    async for request in _requests(reader, seen):
        seen.requests.append(request)
        say = next(iter(script), HANG_UP)
        writer.write(say.answer)
        await writer.drain()
        if say.closes:
            return


async def _requests(reader: asyncio.StreamReader, seen: RawServer) -> AsyncIterator[bytes]:
    while True:
        got = bytearray()
        try:
            await _read_into(got, reader)
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            got += getattr(error, "partial", b"")
            if got:
                seen.broken.append(bytes(got))
            return
        yield bytes(got)


async def _read_into(got: bytearray, reader: asyncio.StreamReader) -> None:
    got += await reader.readuntil(b"\r\n\r\n")
    head = bytes(got).lower()
    if b"transfer-encoding: chunked" in head:
        while not got.endswith(b"\r\n0\r\n\r\n"):
            got += await reader.readuntil(b"\r\n")
    elif b"content-length: " in head:
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        for _ in range(length):
            got += await reader.readexactly(1)
