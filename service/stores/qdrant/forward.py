"""Requests that pass through: the client's bytes to Qdrant, Qdrant's bytes back, headers and status as they came."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from service.stores.qdrant.client import KEEP_ALIVE_SECONDS, failures, once

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
Body: TypeAlias = bytes | AsyncIterator[bytes] | None

# They belong to one connection, not to the message (RFC 9110, 7.6.1); the client library writes its own.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_SENT = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}
_OWN_DEFAULTS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


@dataclass(frozen=True, slots=True)
class Passing:
    """An answer whose head has arrived; ``chunks`` streams the body as it comes."""

    status: int
    headers: RawHeaders
    chunks: AsyncIterator[bytes]


class Forwarder:
    """A pooled client that changes nothing. ``aclose`` it."""

    def __init__(self, base_url: str, *, timeout_seconds: float, max_connections: int) -> None:
        self._base = base_url.rstrip("/")
        # A stream may last; what is bounded is the wait for the next bytes.
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=min(timeout_seconds, 5.0), sock_read=timeout_seconds
        )
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        """Close every connection; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def send(
        self, method: str, target: str, headers: RawHeaders, body: Body
    ) -> AsyncIterator[Passing]:
        """Send a request; ``target`` is the percent-encoded path with its query string.

        Raises ``SourceUnavailable``, also while the chunks are read.
        """
        async with (
            failures(),
            self._open().request(
                method,
                URL(self._base + target, encoded=True),
                headers=_sendable(headers),
                data=body,
                skip_auto_headers=_OWN_DEFAULTS,
                allow_redirects=False,
            ) as response,
        ):
            passed = [
                (name, value)
                for name, value in response.raw_headers
                if name.lower() not in _HOP_BY_HOP
            ]
            yield Passing(response.status, passed, response.content.iter_any())

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: RawHeaders,
        body: bytes,
    ) -> tuple[int, RawHeaders, bytes]:
        """Send a request and read the whole answer: status, headers, body. Raises ``SourceUnavailable``."""
        target = f"{path}?{urlencode(query)}" if query else path
        async with self.send(method, target, headers, body) as passing:
            chunks = [chunk async for chunk in passing.chunks]
        return passing.status, passing.headers, b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the event loop that runs then.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),
                timeout=self._timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(once,),
            )
        return self._session


def _sendable(headers: RawHeaders) -> CIMultiDict[str]:
    # latin-1 maps every byte to itself, so header values arrive as they were sent.
    return CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name.lower() not in _NOT_SENT
    )
