"""``vecferry serve``: the proxy and its control API in one process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvicorn
from starlette.types import ASGIApp

from service import config, logs
from service.config import PREFIX, Settings
from service.errors import ConfigurationError
from service.main import instance

_log = structlog.get_logger(__name__)

_LOOPBACK = "127.0.0.1"
_DRAIN_SECONDS = 10


def serve(
    host: Annotated[str | None, typer.Option(help="Overrides VECFERRY_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides VECFERRY_PORT.")] = None,
    control_port: Annotated[
        int | None, typer.Option(help="Overrides VECFERRY_CONTROL_PORT.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Overrides VECFERRY_DATA_DIR.")] = None,
) -> None:
    """Run the proxy. Without URLs it starts its own Qdrant engine and its own Postgres."""
    settings = config.load(host=host, port=port, control_port=control_port, data_dir=data_dir)
    logs.configure(level=settings.log_level, output=settings.log_format)
    with (
        _bound(settings.host, settings.port, "PORT") as public,
        _bound(_LOOPBACK, settings.control_port, "CONTROL_PORT") as control,
        asyncio.Runner(loop_factory=_loop_factory()) as runner,
    ):
        runner.run(_serve(settings, public, control))


async def _serve(settings: Settings, public: socket.socket, control: socket.socket) -> None:
    async with instance(settings) as running:
        servers = [_server(running.proxy), _server(running.control)]
        _stop_on_signals(servers)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(work) for work in running.background]
            serving = []
            for server, listener in zip(servers, (public, control), strict=True):
                listener.listen()  # who reads the next line may connect
                serving.append(tasks.create_task(server.serve(sockets=[listener])))
            _log.info("serving", url=_url(public), control=_url(control),
                      instance=str(running.plane.instance))  # fmt: skip
            await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
            for server in servers:
                server.should_exit = True
            await asyncio.wait(serving)
            await running.resyncer.drained(_DRAIN_SECONDS)
            for work in background:
                work.cancel()
    _log.info("stopped")


class _Server(uvicorn.Server):
    """A server that leaves signals to us: two of them run in this process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def _server(app: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )


def _bound(host: str, port: int, setting: str) -> socket.socket:
    """Take a port before anything is started; it listens once there is somebody to answer."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        taken = socket.socket(family, socket.SOCK_STREAM)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        message = f"{PREFIX}{setting}: cannot listen on {host}:{port}: {error.strerror}"
        raise ConfigurationError(message) from None
    return taken


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _stop_on_signals(servers: list[_Server]) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.Loop
