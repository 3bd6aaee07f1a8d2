"""HTTP/1.1 whose short answers leave in one write: a head alone would wake its client for nothing.

A head waits for the body's first piece, but no longer than to the next turn of the event loop: that of a stream goes
out while its body is still to come.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD = b"HTTP/1."
_MOST_JOINED = 256 * 1024
"""Bytes: to copy what is longer takes as long as a write of its own."""


class JoinedTransport(asyncio.Transport):
    """A transport as the protocol sees it; everything but heads goes straight through."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes, what waits before them first."""
        head, self._head = self._head, None
        if head is None:
            if data[: len(_HEAD)] == _HEAD:
                # What only looks like a head waits as well, which does no harm.
                self._head = bytes(data)
                self._loop.call_soon(self._flush)
            else:
                self._transport.write(data)
        elif len(data) <= _MOST_JOINED:
            self._transport.write(head + data)
        else:
            self._transport.write(head)
            self._transport.write(data)

    def _flush(self) -> None:
        head, self._head = self._head, None
        if head is not None:
            self._transport.write(head)

    def close(self) -> None:
        """Close once everything is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Say whether it is closing or closed."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Stop to receive."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Receive again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as in asyncio
        """Return what the connection knows of itself."""
        return self._transport.get_extra_info(name, default)


class JoinedWrites(HttpToolsProtocol):
    """uvicorn's protocol over a :class:`JoinedTransport`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a connection."""
        super().connection_made(JoinedTransport(transport, self.loop))
