"""``vecferry serve``: the proxy and its control API in one process."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvicorn
from starlette.types import ASGIApp

from service import config, logs
from service.config import Settings
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
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with instance(settings) as running:
        servers = [
            _server(running.proxy, settings.host, settings.port),
            _server(running.control, _LOOPBACK, settings.control_port),
        ]
        _stop_on_signals(servers)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(work) for work in running.background]
            serving = [tasks.create_task(server.serve()) for server in servers]
            _log.info("serving", url=f"http://{settings.host}:{settings.port}",
                      control=f"http://{_LOOPBACK}:{settings.control_port}",
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


def _server(app: ASGIApp, host: str, port: int) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",
            lifespan="off",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )


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
