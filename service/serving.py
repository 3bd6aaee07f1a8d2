"""Serving: the proxy and its control API on two ports of one process, until a signal ends it."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from starlette.types import ASGIApp

from service.config import PREFIX, Settings
from service.errors import ConfigurationError
from service.garbage import collect_rarely
from service.joined_writes import JoinedWrites
from service.main import instance

_log = structlog.get_logger(__name__)

LOOPBACK = "127.0.0.1"
DRAIN_SECONDS = 10


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises ``ConfigurationError`` for what an operator can mend, a port in use included.
    """
    if settings.grace_seconds <= settings.qdrant_timeout_seconds:
        # An intent may be settled while the write that it is for can still reach Qdrant.
        _log.warning(
            "grace_within_qdrant_timeout",
            grace_seconds=settings.grace_seconds,
            qdrant_timeout_seconds=settings.qdrant_timeout_seconds,
        )
    with (
        bound(settings.host, settings.port, f"{PREFIX}PORT") as public,
        bound(LOOPBACK, settings.control_port, f"{PREFIX}CONTROL_PORT") as control,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(_serve(settings, public, control))


async def _serve(settings: Settings, public: socket.socket, control: socket.socket) -> None:
    async with instance(settings) as running:
        collect_rarely()
        servers = [server_of(running.proxy), server_of(running.control)]
        _stop_on_signals(servers)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(work) for work in running.background]
            serving = []
            for server, listener in zip(servers, (public, control), strict=True):
                listener.listen()  # who reads the next line may connect
                serving.append(tasks.create_task(server.serve(sockets=[listener])))
            _log.info("serving", url=url_of(public), control=url_of(control),
                      instance=str(running.plane.instance))  # fmt: skip
            await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
            for server in servers:
                server.should_exit = True
            await asyncio.wait(serving)
            await running.resyncer.drained(DRAIN_SECONDS)
            for work in background:
                work.cancel()
    _log.info("stopped")


class _Server(uvicorn.Server):
    """A server that leaves signals to us: two of them run in this process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def server_of(app: ASGIApp) -> uvicorn.Server:
    """Return a server of this application, to be started on a socket."""
    return _Server(
        uvicorn.Config(
            app,
            http=JoinedWrites,
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # nobody asks who the client is
            date_header=False,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )


def bound(host: str, port: int, setting: str) -> socket.socket:
    """Take a port before anything is started; it listens once there is somebody to answer.

    Raises ``ConfigurationError`` that names the port's ``setting``, or that of the host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        with contextlib.ExitStack() as undo:
            taken = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(address)
            undo.pop_all()
    except OSError as error:
        is_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        named = f"{PREFIX}HOST" if is_host else setting
        message = f"{named}: cannot listen on {host}:{port}: {error.strerror}"
        raise ConfigurationError(message) from None
    return taken


def url_of(listener: socket.socket) -> str:
    """Return the address that a listening socket is reached at."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _stop_on_signals(servers: list[uvicorn.Server]) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """Return the faster event loop where the platform has it."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop
