"""One pooled HTTP session to Qdrant, and the one place where its failures become our errors."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import aiohttp
import orjson
from yarl import URL

from service.errors import CollectionNotFound, SourceUnavailable, StoreAnswered, StoreError

KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the five seconds after which Qdrant's HTTP server closes an idle connection."""

TURN_SECONDS = 5.0
"""How long a request may wait for a connection: one that is sent late lands where nobody expects it any more (R7)."""

_LARGE_BYTES = 1 << 20
_NO_COLLECTION = "Not found: Collection `"
_COLLECTIONS = "/collections/"


class AnswerTooLarge(StoreError):
    """An answer was not read to its end, because it is larger than the caller has memory for."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"Qdrant's answer has more than {most_bytes} bytes")


class QdrantHttp:
    """Requests to one Qdrant. Use ``async with``, or ``aclose`` it.

    Nothing is ever sent twice: a request whose connection broke has an unknown outcome, and only
    the caller knows whether to repeat it.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        max_connections: int = 64,
        turn_seconds: float = TURN_SECONDS,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["api-key"] = api_key
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, connect=min(timeout_seconds, turn_seconds)
        )
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; a second call does nothing."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        most_bytes: int | None = None,
    ) -> Any:
        """Send one request and return the ``result`` of the answer's envelope.

        ``path`` is already percent-encoded and begins with ``/``. Raises ``SourceUnavailable``
        when there was no answer, ``CollectionNotFound``, or ``StoreAnswered`` for every other
        error answer; ``AnswerTooLarge`` for an answer of more than ``most_bytes``.
        """
        status, answer = await self._exchange(method, path, body, params, most_bytes)
        return _result(answer, status)

    async def version(self) -> str:
        """Return the version that this Qdrant says it has. Raises as ``request`` does."""
        status, answer = await self._exchange("GET", "/", None, None)
        try:
            return str(orjson.loads(answer)["version"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise StoreAnswered(status, answer) from error

    async def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str] | None,
        most_bytes: int | None = None,
    ) -> tuple[int, bytes]:
        url = URL(self._base + path, encoded=True)
        async with (
            failures(),
            self._open().request(method, url, data=in_pieces(body), params=params) as response,
        ):
            answer = await _read(response, most_bytes)
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise _answered(response.status, answer, path)
        return response.status, answer

    def _open(self) -> aiohttp.ClientSession:
        # Made on first use, because a session belongs to the event loop that runs then.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_connections, keepalive_timeout=KEEP_ALIVE_SECONDS
                ),
                headers=self._headers,
                timeout=self._timeout,
                middlewares=(once,),
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, most_bytes: int | None) -> bytes:
    if most_bytes is None:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most_bytes:
            response.close()
            raise AnswerTooLarge(most_bytes)
    return b"".join(pieces)


def in_pieces(body: bytes | None) -> bytes | BytesIO | None:
    """Return a large body as a stream, which the event loop can send beside other work."""
    return BytesIO(body) if body is not None and len(body) > _LARGE_BYTES else body


@asynccontextmanager
async def failures() -> AsyncIterator[None]:
    """Turn what aiohttp raises into ``SourceUnavailable``."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        reason = "cannot be reached"
        raise SourceUnavailable(reason, may_have_applied=False, detail=error) from error
    except TimeoutError as error:
        reason = "did not answer in time"
        raise SourceUnavailable(reason) from error
    except (aiohttp.ClientError, OSError) as error:
        reason = "dropped the connection"
        raise SourceUnavailable(reason, detail=error) from error


async def once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE behind our back when its connection breaks.

    It repeats what raises its own connection errors; ours pass.
    """
    async with failures():
        return await handler(request)


def _result(answer: bytes, status: int) -> Any:
    try:
        return orjson.loads(answer)["result"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        # A proxy or load balancer in between answered 200 with a page of its own.
        raise StoreAnswered(status, answer) from error


def _answered(status: int, answer: bytes, path: str) -> CollectionNotFound | StoreAnswered:
    # A missing point is a 404 too; only the text tells them apart.
    if status == HTTPStatus.NOT_FOUND and _error_text(answer).startswith(_NO_COLLECTION):
        return CollectionNotFound(unquote(path.removeprefix(_COLLECTIONS).partition("/")[0]))
    return StoreAnswered(status, answer)


def _error_text(answer: bytes) -> str:
    try:
        return str(orjson.loads(answer)["status"]["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
