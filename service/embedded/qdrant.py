"""The embedded Qdrant as a server: the process itself, and the handle that starts it as a child.

The parent opens the listening socket and passes it on, so the port is known and nobody can take it in between. It
also holds the write end of a pipe that the child reads: when the parent ends, however it ends, the child sees the end
of the pipe, writes everything out and stops. ``python -m service.embedded.qdrant <data directory> <socket> <pipe>``
"""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
import uvicorn

from service.api.qdrant.app import qdrant_app
from service.errors import ConfigurationError
from service.garbage import collect_rarely
from service.stores.edge.processes import child_environment

API_VERSION = "1.19.1"
"""What the engine behaves like; clients compare it with their own version."""

_HOST = "127.0.0.1"
_READY_SECONDS = 120.0
_STOP_SECONDS = 30.0
_BACKLOG = 1024

log = structlog.get_logger()


def run_qdrant(data_dir: Path, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve in the foreground until SIGINT or SIGTERM; ``announce`` gets the URL (port 0 is a free one).

    Raises ``ConfigurationError`` when the engine is not installed or the address is taken.
    """
    _require_engine()
    with _listen(host, port) as listener:
        announce(_url(listener))
        _run(data_dir, listener, None)


def _run(data_dir: Path, listener: socket.socket, lifeline: int | None) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(data_dir, listener, lifeline))


async def _serve(data_dir: Path, listener: socket.socket, lifeline: int | None) -> None:
    from service.stores.edge.store import EdgeStore  # noqa: PLC0415 - needs the extra

    async with EdgeStore(data_dir) as store:
        app = qdrant_app(store, version=API_VERSION, health=True)
        server = _Server(
            uvicorn.Config(app, http="httptools", ws="none", log_config=None, access_log=False)
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
        if lifeline is not None:
            await _watch(lifeline, server)
        collect_rarely()
        await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """A server that leaves signals to us: uvicorn's raises them again, before the store is closed."""

    def stop(self) -> None:
        """Answer what is under way, then end."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


async def _watch(lifeline: int, server: "_Server") -> None:
    """Stop the server when the other end of the pipe is closed."""

    class Lifeline(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
            server.stop()

    await asyncio.get_running_loop().connect_read_pipe(Lifeline, os.fdopen(lifeline, "rb"))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


class EmbeddedQdrant:
    """A Qdrant server as a child process, logging to ``qdrant.log`` in its data directory.

    Use it as an async context manager; ``port`` 0 is a free one.
    """

    def __init__(self, data_dir: Path, *, port: int = 0) -> None:
        self._data_dir = data_dir
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._lifeline: int | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> str:
        """Start the server, wait until it answers and return its URL.

        Raises ``ConfigurationError`` when the engine is not installed, ends or does not answer.
        """
        _require_engine()
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with _listen(_HOST, self._port) as listener:
            self.url = _url(listener)
            port = listener.getsockname()[1]
            await self._spawn(listener)
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self._answer(port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            await self.stop()
            message = f"the embedded Qdrant does not start, see {self._data_dir / 'qdrant.log'}"
            raise ConfigurationError(message) from error
        log.info("embedded_qdrant_started", url=self.url, data_dir=str(self._data_dir))
        return self.url

    async def wait(self) -> int:
        """Return the server's status once it has ended, for whatever reason."""
        if self._process is None:
            message = "the embedded Qdrant was not started"
            raise ConfigurationError(message)
        return await self._process.wait()

    async def stop(self) -> None:
        """Let the server write everything out and end."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        if self._process is None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            log.warning("embedded_qdrant_killed", pid=self._process.pid)
            self._process.kill()
            await self._process.wait()
        self._process = None

    async def _spawn(self, listener: socket.socket) -> None:
        theirs, self._lifeline = os.pipe()
        arguments = [str(self._data_dir), str(listener.fileno()), str(theirs)]
        try:
            with (self._data_dir / "qdrant.log").open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "service.embedded.qdrant", *arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=child_environment(),
                    pass_fds=(listener.fileno(), theirs),
                    start_new_session=True,
                )
        finally:
            os.close(theirs)

    async def _answer(self, port: int) -> None:
        """Wait for one answer; the socket listens already, so the request waits until the server is up."""
        reader, writer = await asyncio.open_connection(_HOST, port)
        try:
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: embedded\r\nConnection: close\r\n\r\n")
            await reader.readuntil(b"\r\n")
        finally:
            writer.close()


def _require_engine() -> None:
    if importlib.util.find_spec("qdrant_edge") is None:
        message = (
            "no Qdrant is configured and the embedded one is not installed: set "
            "VECFERRY_QDRANT_URL, or install vecferry with the extra `embedded`"
        )
        raise ConfigurationError(message)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        message = f"cannot listen on {host}:{port}: {error.strerror}"
        raise ConfigurationError(message) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def main() -> None:
    """Run as a child of :class:`EmbeddedQdrant`."""
    data_dir, listener, lifeline = sys.argv[1:]
    _run(Path(data_dir), socket.socket(fileno=int(listener)), int(lifeline))


if __name__ == "__main__":
    main()
