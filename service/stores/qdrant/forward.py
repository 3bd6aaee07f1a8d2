"""Requests that pass through: the client's bytes to Qdrant, Qdrant's bytes back, headers and status as they came."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from service.errors import SourceUnavailable
from service.stores.qdrant.client import KEEP_ALIVE_SECONDS, TURN_SECONDS, failures, once

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
_NOT_SENT = _HOP_BY_HOP | {b"host", b"expect"}
# A body that we change or read ourselves has another length, and must not come back compressed.
_NOT_FETCHED = frozenset({b"content-length", b"accept-encoding"})
_OWN_DEFAULTS = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")


@dataclass(frozen=True, slots=True)
class Passing:
    """An answer whose head has arrived; ``chunks`` streams the body as it comes.

    ``is_at_end`` says after a chunk whether it is known to be the last one.
    """

    status: int
    headers: RawHeaders
    chunks: AsyncIterator[bytes]
    is_at_end: Callable[[], bool]


class Forwarder:
    """A pooled client that changes nothing. ``aclose`` it."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_seconds: float,
        max_connections: int,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._base = base_url.rstrip("/")
        # A stream may last; what is bounded is the wait for a connection, new or free, and for the next bytes.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=min(timeout_seconds, turn_seconds), sock_read=timeout_seconds
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
        self,
        method: str,
        target: str,
        headers: RawHeaders,
        body: Body,
        *,
        may_repeat: bool = False,
    ) -> AsyncIterator[Passing]:
        """Send a request; ``target`` is the percent-encoded path with its query string.

        With ``may_repeat`` it is sent once more when its connection broke before an answer began.
        Raises ``SourceUnavailable``, also while the chunks are read.
        """
        request = _Request(
            method, URL(self._base + target, encoded=True), _sendable(headers), body, may_repeat
        )
        async with failures(), await self._respond(request) as response:
            passed = _end_to_end(response.raw_headers, _HOP_BY_HOP)
            content = response.content
            yield Passing(response.status, passed, content.iter_any(), content.at_eof)

    async def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: RawHeaders,
        body: bytes,
    ) -> tuple[int, RawHeaders, bytes]:
        """Send a request and read the whole answer, uncompressed: status, headers, body.

        Raises ``SourceUnavailable``.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        kept = [(name, value) for name, value in headers if name.lower() not in _NOT_FETCHED]
        async with self.send(method, target, kept, body) as passing:
            chunks = [chunk async for chunk in passing.chunks]
        return passing.status, passing.headers, b"".join(chunks)

    async def _respond(self, request: "_Request") -> aiohttp.ClientResponse:
        try:
            return await self._ask(request)
        except SourceUnavailable as error:
            if not (request.may_repeat and _is_broken_connection(error)):
                raise
        # A pooled connection may have been closed under the request: not a failure yet.
        return await self._ask(request)

    async def _ask(self, request: "_Request") -> aiohttp.ClientResponse:
        return await self._open().request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            skip_auto_headers=_OWN_DEFAULTS,
            allow_redirects=False,
        )

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


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: CIMultiDict[str]
    body: Body
    may_repeat: bool


def _is_broken_connection(error: SourceUnavailable) -> bool:
    """Say whether an established connection ended; a time-out or a refused connection did not."""
    cause = error.__cause__
    return isinstance(
        cause, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
    ) and not isinstance(cause, aiohttp.ClientConnectorError)


def _sendable(headers: RawHeaders) -> CIMultiDict[str]:
    return CIMultiDict(
        (name.decode("latin-1"), _text(value)) for name, value in _end_to_end(headers, _NOT_SENT)
    )


def _end_to_end(headers: RawHeaders, dropped: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the headers that belong to the message, without those that ``Connection`` names."""
    named = {
        token.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for token in value.split(b",")
    }
    left_out = dropped | named
    return [(name, value) for name, value in headers if name.lower() not in left_out]


def _text(value: bytes) -> str:
    # The client library writes UTF-8: what is UTF-8 arrives as it was sent, latin-1 as its UTF-8.
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
