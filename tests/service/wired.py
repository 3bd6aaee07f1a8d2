"""A whole instance in this process: wired as in production, asked over ASGI or over a socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from starlette.types import ASGIApp

from service import serving
from service.config import Settings
from service.main import Instance, instance
from tests.service.running import running, until


@dataclass(frozen=True, slots=True)
class Wired:
    """A running instance and a client of its proxy."""

    instance: Instance
    client: httpx.AsyncClient


@asynccontextmanager
async def wired(settings: Settings) -> AsyncIterator[Wired]:
    """Run an instance; its client asks the application without a socket."""
    async with instance(settings) as started, running(*started.background):
        transport = httpx.ASGITransport(started.proxy)
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
            yield Wired(started, client)


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    """Serve an application on a free port as ``vecferry serve`` does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        server = serving.server_of(app)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            await until(lambda: server.started)
            yield host, port
            server.should_exit = True
