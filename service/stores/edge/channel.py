"""The front's end of one engine process: many calls in flight, started again when the process dies."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from service.errors import Overloaded, SourceUnavailable
from service.stores.edge.calls import Call, Names
from service.stores.edge.processes import spawn
from service.stores.edge.settings import EngineSettings
from service.stores.edge.wire import Failure, Request, Unpacker, pack

T = TypeVar("T")

_MOST_IN_FLIGHT = 4096
_STOP_SECONDS = 20.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Which process a channel leads to."""

    data_dir: Path
    index: int
    count: int
    lock: int
    settings: EngineSettings


class _Replies(asyncio.Protocol):
    """Gives every reply to the future of its call."""

    def __init__(self) -> None:
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.closed = asyncio.get_running_loop().create_future()
        self._unpacker = Unpacker()

    def data_received(self, data: bytes) -> None:
        for reply in self._unpacker.feed(data):
            future = self.waiting.pop(reply.number, None)
            if future is None or future.done():
                continue
            if isinstance(reply.value, Failure):
                future.set_exception(reply.value.rebuild())
            else:
                future.set_result(reply.value)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(SourceUnavailable("lost its engine process"))
        self.waiting.clear()
        self.closed.set_result(None)


class Channel:
    """Calls to one engine process."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._numbers = 0
        self._opening = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._replies: _Replies | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The process behind the channel."""
        return None if self._process is None else self._process.pid

    async def ask(self, call: Call[T]) -> T:
        """Run a call in the engine process.

        Raises what the call raises, ``SourceUnavailable`` when the process dies under it, and ``Overloaded``.
        """
        replies, transport = await self._connected()
        if len(replies.waiting) >= _MOST_IN_FLIGHT:
            message = f"{_MOST_IN_FLIGHT} calls wait for the engine"
            raise Overloaded(message)
        self._numbers += 1
        number = self._numbers
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        replies.waiting[number] = future
        transport.write(pack(Request(number, call)))
        return await future

    async def open(self) -> Sequence[str]:
        """Start the process and wait until its collections are open; returns their names."""
        return await self.ask(Names())

    async def aclose(self) -> None:
        """Let the process write everything out and end."""
        self._is_closed = True
        if self._process is None or self._transport is None:
            return
        self._transport.close()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("engine_process_killed", pid=self._process.pid)
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def _connected(self) -> tuple[_Replies, asyncio.WriteTransport]:
        async with self._opening:
            if self._is_closed:
                raise SourceUnavailable("is shutting down", may_have_applied=False)
            if self._replies is None or self._transport is None or self._replies.closed.done():
                self._replies, self._transport = await self._start()
            return self._replies, self._transport

    async def _start(self) -> tuple[_Replies, asyncio.WriteTransport]:
        if self._process is not None:
            status = await asyncio.to_thread(self._process.wait)
            log.warning("engine_process_ended", index=self._place.index, status=status)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = self._spawn(theirs.fileno())
        transport, replies = await asyncio.get_running_loop().create_connection(_Replies, sock=ours)
        return replies, transport

    def _spawn(self, descriptor: int) -> subprocess.Popen[bytes]:
        place = self._place
        arguments = [descriptor, place.lock, place.data_dir, place.index, place.count]
        return spawn(
            "service.stores.edge.worker",
            [*map(str, arguments), json.dumps(asdict(place.settings))],
            inherit=[descriptor, place.lock],
        )
