"""A process that only works on ranges, until a signal ends it: no proxy, no control API, no steps of jobs."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from backfill.metrics import BackfillMetrics, ThrottleMetrics
from backfill.worker import Worker
from service.api.own import own_app
from service.background_jobs import kept_running, range_works
from service.config import PREFIX, Settings
from service.errors import ConfigurationError, StoreError
from service.garbage import collect_rarely
from service.serving import bound, loop_factory, server_of, url_of
from service.stores.postgres.database import Database
from service.stores.postgres.migrate import require_migrated
from service.stores.postgres.opening import Opening
from service.stores.postgres.ranges import PostgresRanges
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore
from service.throttling import throttle_of

_log = structlog.get_logger(__name__)

_SPARE_CONNECTIONS = 3
"""Beside one for each range: for heartbeats, claims and the throttle's readings."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A wired worker."""

    owner: UUID
    worker: Worker
    opening: Opening
    own_app: ASGIApp


def run(settings: Settings, metrics_port: int | None) -> None:
    """Work until SIGINT or SIGTERM; what is held then is given back.

    Raises ``ConfigurationError`` for what an operator can mend.
    """
    _addresses(settings)
    if not settings.workers:
        message = f"{PREFIX}WORKERS: a worker needs at least 1; or give --ranges"
        raise ConfigurationError(message)
    listening = (
        nullcontext()
        if metrics_port is None
        else bound(settings.host, metrics_port, "--metrics-port")
    )
    with listening as listener, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_work(settings, listener))


def _addresses(settings: Settings) -> tuple[str, str]:
    """Return the addresses of both stores: embedded engines belong to the instance that runs them."""
    dsn, url = settings.database_url, settings.qdrant_url
    if dsn is None or url is None:
        name = "DATABASE_URL" if dsn is None else "QDRANT_URL"
        message = f"{PREFIX}{name}: a worker needs the address of the store that the instances use"
        raise ConfigurationError(message)
    return dsn.get_secret_value(), url


@asynccontextmanager
async def worker_process(settings: Settings) -> AsyncIterator[WorkerProcess]:
    """Wire a worker; nothing runs yet."""
    dsn, url = _addresses(settings)
    async with AsyncExitStack() as stack:
        most = max(settings.workers + _SPARE_CONNECTIONS, 2)
        database = Database(
            dsn,
            max_size=min(most, settings.database_connections),
            pooled=settings.database_transaction_pooler,
        )
        stack.push_async_callback(database.close)
        key = settings.qdrant_api_key
        http = QdrantHttp(
            url,
            api_key=key.get_secret_value() if key else None,
            timeout_seconds=settings.qdrant_timeout_seconds,
            max_connections=settings.qdrant_connections,
        )
        stack.push_async_callback(http.aclose)
        registry, owner = CollectorRegistry(), uuid4()
        metrics, throttled = BackfillMetrics(registry), ThrottleMetrics(registry)
        throttle = throttle_of(settings, database, throttled)
        opening = Opening(dsn, (database,), prepare=require_migrated)
        works = range_works(settings, database, QdrantStore(http), metrics, throttle)
        yield WorkerProcess(
            owner,
            Worker(works, PostgresRanges(database), owner, concurrency=settings.workers),
            opening,
            _own_app(registry, opening),
        )


def _own_app(registry: CollectorRegistry, opening: Opening) -> ASGIApp:
    async def checks() -> dict[str, str | None]:
        return {"database": None if opening.is_done else "was not reached yet"}

    async def nothing() -> None:
        """Every figure of a worker is its own."""

    return own_app(registry, checks, nothing)


async def _work(settings: Settings, listener: socket.socket | None) -> None:
    async with worker_process(settings) as process:
        collect_rarely()
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        try:
            await _until(stopped, process, settings, listener)
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
    _log.info("stopped")


async def _until(
    stopped: asyncio.Event,
    process: WorkerProcess,
    settings: Settings,
    listener: socket.socket | None,
) -> None:
    server = server_of(process.own_app)
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(_opened(process))
        if listener is not None:
            listener.listen()
            tasks.create_task(server.serve(sockets=[listener]))
        _log.info(
            "working", worker=str(process.owner), ranges=settings.workers,
            metrics=None if listener is None else url_of(listener),
        )  # fmt: skip
        await stopped.wait()
        working.cancel()
        server.should_exit = True


async def _opened(process: WorkerProcess) -> None:
    """Wait for a database of this version, then work. Raises ``ConfigurationError`` when it is of a newer one."""
    try:
        await process.opening.once()
    except StoreError as error:
        _log.warning("waiting_for_database", error=str(error))
        await process.opening.run()
    await kept_running("worker", process.worker.run)
