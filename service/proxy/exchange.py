"""One HTTP exchange at the ASGI level: its head, its body, and what was answered."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.errors import BodyTooLarge
from service.proxy.bounds import Room

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

_READ_WHOLE_BYTES = 1024 * 1024


class Exchange:
    """A request that is being answered.

    ``status`` is 0 until the answer's head was sent; ``is_broken_off`` says that the body ended early. What is held of
    the body takes ``room`` until ``close``.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, max_body_bytes: int, room: Room
    ) -> None:
        self.scope = scope
        self.status = 0
        self.answered_by = "none"
        self.is_broken_off = False
        self.started = time.perf_counter()
        self._receive = receive
        self._send = send
        self._max_body_bytes = max_body_bytes
        self._room = room
        self._taken = 0
        self._arrived = 0
        self._body: bytes | None = None
        self.on_head: Callable[[], None] = _nothing
        """Called when the answer begins."""

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return str(self.scope["method"])

    @cached_property
    def path(self) -> str:
        """The percent-encoded path as it was sent, without the query string."""
        raw: bytes = self.scope.get("raw_path") or self.scope["path"].encode()
        return raw.split(b"?", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The path with its query string, as it was sent."""
        query: bytes = self.scope["query_string"]
        return f"{self.path}?{query.decode('latin-1')}" if query else self.path

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; of several with one name the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    @property
    def headers(self) -> RawHeaders:
        """The request's headers, names in lower case."""
        headers: RawHeaders = self.scope["headers"]
        return headers

    def header(self, name: bytes) -> str | None:
        """Return the first header of this (lower-case) name."""
        found = (value for key, value in self.headers if key == name)
        value = next(found, None)
        return None if value is None else value.decode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether the request announced a body."""
        names = {name for name, _ in self.headers}
        return bool(names & {b"content-length", b"transfer-encoding"})

    @property
    def is_small(self) -> bool:
        """Whether the body is announced as short enough to be held in memory rather than streamed."""
        length = self._announced
        return length is not None and length <= _READ_WHOLE_BYTES

    @property
    def _announced(self) -> int | None:
        length = self.header(b"content-length") or ""
        return int(length) if length.isdecimal() else None

    async def read_ahead(self) -> None:
        """Read the body now if it is announced to be one that may be held. Raises as :meth:`body`."""
        length = self._announced
        if length is not None and length <= self._max_body_bytes:
            await self.body()

    async def body(self) -> bytes:
        """Read the whole body once. Raises ``BodyTooLarge``, ``Overloaded`` or ``ClientDisconnect``."""
        if self._body is None:
            self._hold(self._announced or 0)
            piece, is_last = await self._piece()
            self._hold(len(piece))
            if not is_last:
                piece = await self._rest(bytearray(piece))
            self._body = piece
        return self._body

    async def _rest(self, collected: bytearray) -> bytes:
        is_last = False
        while not is_last:
            piece, is_last = await self._piece()
            self._hold(len(collected) + len(piece))
            collected += piece
        return bytes(collected)

    async def _piece(self) -> tuple[bytes, bool]:
        """Receive a piece of the body and whether it is the last. Raises ``ClientDisconnect``."""
        message = await self._receive()
        if message["type"] != "http.request":
            self.is_broken_off = True
            raise ClientDisconnect
        return message.get("body", b""), not message.get("more_body", False)

    def _hold(self, size: int) -> None:
        """Have room for so many bytes of the body, of which some may be taken already."""
        if size > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes)
        if size > self._taken:
            self._room.take(size - self._taken)
            self._taken = size

    def close(self) -> None:
        """Give back the room of the body; a second call does nothing."""
        self._room.give_back(self._taken)
        self._taken = 0

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; nothing keeps it. Raises ``ClientDisconnect`` when it ends early."""
        if self._body is not None:
            yield self._body
            return
        is_last = False
        while not is_last:
            piece, is_last = await self._piece()
            if piece:
                yield piece

    def replay(self) -> Receive:
        """Return a ``receive`` that serves a body which was read already from its beginning."""
        if self._body is None:
            return self._receive_held
        pending = [self._body]

        async def receive() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            return await self._receive()

        return receive

    async def _receive_held(self) -> Message:
        """Receive for an application that collects the body itself: its pieces take room as ours do."""
        if not self._taken:
            self._hold(self._announced or 0)
        message = await self._receive()
        self._arrived += len(message.get("body", b""))
        self._hold(self._arrived)
        return message

    async def send(self, message: Message) -> None:
        """Pass an ASGI message on, noting the status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.on_head()
        await self._send(message)

    async def answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Send a whole answer; a content length among the headers is replaced by the body's."""
        kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        kept.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": kept})
        await self.send({"type": "http.response.body", "body": body})


def _nothing() -> None:
    """Stand in until somebody wants to know."""


class Captured:
    """An ASGI answer held back, to be sent or thrown away."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def send(self, message: Message) -> None:
        """Keep one message."""
        self.messages.append(dict(message))

    @property
    def status(self) -> int:
        """The status, 0 when nothing was answered."""
        return int(self.messages[0]["status"]) if self.messages else 0

    async def release(self, exchange: Exchange) -> None:
        """Send what was kept."""
        for message in self.messages:
            await exchange.send(message)
