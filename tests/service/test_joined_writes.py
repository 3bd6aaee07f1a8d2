"""Heads and bodies of answers leave together, and a head never waits for a body that is still to come."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from service.joined_writes import JoinedTransport
from service.serving import server_of

_HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Recorded(asyncio.Transport):
    """What a socket would be given, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: Any) -> None:
        """Note the bytes."""
        self.done.append(bytes(data))

    def close(self) -> None:
        """Note the end."""
        self.done.append("closed")


def _joined() -> tuple[Recorded, JoinedTransport]:
    below = Recorded()
    return below, JoinedTransport(below, asyncio.get_running_loop())


async def test_a_head_waits_for_its_body() -> None:
    """They are one write, and the next answer's are another one."""
    below, joined = _joined()
    for body in (b"one", b"two"):
        joined.write(_HEAD)
        joined.write(body)
    assert below.done == [_HEAD + b"one", _HEAD + b"two"]
    await asyncio.sleep(0)
    assert len(below.done) == 2


async def test_a_head_waits_no_longer_than_a_turn() -> None:
    """The pieces of a stream go straight on."""
    below, joined = _joined()
    joined.write(_HEAD)
    assert below.done == []
    await asyncio.sleep(0)
    assert below.done == [_HEAD]
    joined.write(b"piece")
    assert below.done == [_HEAD, b"piece"]


async def test_nothing_is_lost_at_the_end() -> None:
    """A head that waits is sent before the connection closes; so is one that another head follows."""
    below, joined = _joined()
    joined.write(_HEAD)
    joined.write(_HEAD)
    joined.write(_HEAD)
    joined.close()
    assert below.done == [_HEAD + _HEAD, _HEAD, "closed"]


async def test_long_bodies_are_not_copied() -> None:
    """They follow their head in a write of their own."""
    below, joined = _joined()
    joined.write(_HEAD)
    joined.write(bytes(1 << 20))
    assert below.done == [_HEAD, bytes(1 << 20)]


@asynccontextmanager
async def _served(app: ASGIApp) -> AsyncIterator[int]:
    server = server_of(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            yield listener.getsockname()[1]
            server.should_exit = True


@pytest.mark.parametrize("is_late", [False, True])
async def test_served_answers(is_late: bool) -> None:
    """A short answer is received in one piece; one whose body is late begins without it."""
    go_on = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if is_late:
            await go_on.wait()
        await send({"type": "http.response.body", "body": b"body"})

    async with _served(app) as port, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(20):
            go_on.clear()
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            received = await reader.read(1_000)
            assert received.endswith(b"\r\n\r\n" if is_late else b"\r\n\r\nbody")
            if is_late:
                go_on.set()
                assert await reader.read(1_000) == b"body"
        writer.close()
