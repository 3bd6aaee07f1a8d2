"""A client that costs next to nothing: one connection, one request at a time, answers not looked into."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

from tests.bench.rig import BenchFailed

_LENGTH = b"content-length:"


class Wire:
    """A connection that POSTs JSON to one path."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            "content-length: "
        ).encode()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Self]:
        """Connect."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 26)
        try:
            yield cls(reader, writer, parts.netloc, parts.path)
        finally:
            writer.close()

    async def post(self, body: bytes) -> bytes:
        """Send a body and return the answer's; anything but 200 ends the run."""
        self._writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH))
        answer = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            message = f"{lines[0]!r}: {answer[:300]!r}"
            raise BenchFailed(message)
        return answer
