"""The composition root: the only place that knows which parts there are and how they fit together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from backfill.metrics import BackfillMetrics
from backfill.run import Backfill
from backfill.verify import Verification
from service import keys
from service.api.control import control_app
from service.api.own import own_app
from service.api.qdrant.app import qdrant_app
from service.config import PREFIX, Settings
from service.control.change import StageChanges
from service.control.plane import ControlPlane
from service.control.sourced import create_request
from service.embedded.engines import Engines, start_engines
from service.errors import (
    CollectionNotFound,
    ConfigurationError,
    StoreError,
    VecferryError,
)
from service.metrics import ProxyMetrics
from service.model.qdrant import CreateCollection
from service.operations import Operations
from service.protocol.commits import GroupCommit
from service.protocol.mirrors import NoSource, SourceMirror
from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites
from service.protocol.target_writes import TargetAuthority
from service.proxy.answers import Answers
from service.proxy.collections import WholeCollections
from service.proxy.freezing import FreezeQueue
from service.proxy.passing import Passer
from service.proxy.proxy import Proxy
from service.stages import Side, compares
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.migrate import migrate
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.forward import Forwarder
from service.stores.qdrant.store import QdrantStore
from shadow.metrics import ShadowMetrics
from shadow.reads import ShadowReads
from shadow.sampling import Sampler
from shadow.store import ShadowStore

QDRANT_VERSION = "1.19.0"
"""What ``GET /`` says where no Qdrant answers: clients compare it with their own."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A wired instance: two ASGI applications, and the coroutines that must run beside them."""

    proxy: ASGIApp
    control: ASGIApp
    background: tuple[Coroutine[Any, Any, None], ...]
    plane: ControlPlane
    resyncer: Resyncer

    async def stop(self) -> None:
        """Leave the other instances, saying so in the database if that is reachable."""
        with suppress(VecferryError):
            await self.plane.stop(is_drained=self.resyncer.is_idle)


@dataclass(frozen=True, slots=True)
class _Source:
    """Qdrant, where there is one."""

    store: QdrantStore
    passer: Passer


@asynccontextmanager
async def instance(settings: Settings) -> AsyncIterator[Instance]:
    """Start the engines that are not configured, connect, and wire everything.

    Raises ``ConfigurationError``, one line that names the setting: without its control state nothing is served.
    """
    async with AsyncExitStack() as stack:
        engines = await start_engines(stack, settings)
        databases = await _connect_target(stack, settings, engines.database_url)
        source = await _connect_source(stack, settings, engines)
        wired = await _wire(settings, databases, source)
        stack.push_async_callback(wired.stop)
        yield wired


@dataclass(frozen=True, slots=True)
class _Databases:
    """Two pools on one database: what holds a connection for long keeps no intent and no heartbeat waiting (R14)."""

    shared: Database
    reserved: Database


async def _connect_target(stack: AsyncExitStack, settings: Settings, url: str) -> _Databases:
    reserved = max(2, settings.database_connections // 4)
    pooled = settings.database_transaction_pooler

    async def open_pool(size: int) -> Database:
        database = await Database.open(url, max_size=size, pooled=pooled)
        stack.push_async_callback(database.close)
        return database

    try:
        await migrate(url)
        shared = await open_pool(max(2, settings.database_connections - reserved))
        return _Databases(shared, await open_pool(reserved))
    except (ConfigurationError, StoreError) as error:
        message = f"{PREFIX}DATABASE_URL: {error}"
        raise ConfigurationError(message) from error


async def _connect_source(
    stack: AsyncExitStack, settings: Settings, engines: Engines
) -> _Source | None:
    if engines.qdrant_url is None:
        return None
    key = settings.qdrant_api_key
    http = QdrantHttp(
        engines.qdrant_url,
        api_key=key.get_secret_value() if key else None,
        timeout_seconds=settings.qdrant_timeout_seconds,
        max_connections=settings.qdrant_connections,
    )
    forwarder = Forwarder(
        engines.qdrant_url,
        timeout_seconds=settings.qdrant_timeout_seconds,
        max_connections=settings.qdrant_connections,
    )
    stack.push_async_callback(http.aclose)
    stack.push_async_callback(forwarder.aclose)
    return _Source(QdrantStore(http), Passer(forwarder))


@dataclass(frozen=True, slots=True)
class _Core:
    """What both surfaces share: the stores, the control plane, the protocol, the shadow reads."""

    settings: Settings
    database: Database
    source: QdrantStore | None
    passer: Passer
    target: PgStore
    registry: CollectorRegistry
    metrics: ProxyMetrics
    control: PostgresControl
    log: PostgresIntents
    plane: ControlPlane
    resyncer: Resyncer
    commits: GroupCommit
    shadow: ShadowReads

    @property
    def key(self) -> str | None:
        """Qdrant's API key, if there is one."""
        key = self.settings.qdrant_api_key
        return key.get_secret_value() if key else None


async def _wire(settings: Settings, databases: _Databases, source: _Source | None) -> Instance:
    core = _core(settings, databases, source)
    operations = _operations(core)
    operator_key = keys.ensure(settings.data_dir)
    await core.plane.start()
    return Instance(
        proxy=_proxy(core),
        control=control_app(operations, operator_key=operator_key),
        background=(
            core.plane.run(),
            core.resyncer.run(),
            core.commits.run(),
            core.shadow.run(),
            operations.run(),
        ),
        plane=core.plane,
        resyncer=core.resyncer,
    )


def _core(settings: Settings, databases: _Databases, source: _Source | None) -> _Core:
    database = databases.shared
    registry = CollectorRegistry()
    metrics = ProxyMetrics(registry)
    control = PostgresControl(databases.reserved)
    log = PostgresIntents(database, databases.reserved)
    target = PgStore(database, index_min_rows=settings.index_min_rows)
    store = None if source is None else source.store

    async def load_aliases() -> dict[str, str]:
        return {} if store is None else await store.aliases()

    plane = ControlPlane(
        control, default_stage=settings.default_stage, load_aliases=load_aliases, metrics=metrics
    )
    return _Core(
        settings=settings,
        database=database,
        source=store,
        passer=Passer(None) if source is None else source.passer,
        target=target,
        registry=registry,
        metrics=metrics,
        control=control,
        log=log,
        plane=plane,
        resyncer=Resyncer(
            log,
            NoSource() if store is None else SourceMirror(store),
            plane.instance,
            metrics,
            grace_seconds=settings.grace_seconds,
        ),
        commits=GroupCommit(log, plane.instance, metrics),
        shadow=ShadowReads(
            {Side.TARGET: target} if store is None else {Side.TARGET: target, Side.SOURCE: store},
            Sampler(settings.shadow_sample_rate),
            ShadowMetrics(registry),
            concurrency=settings.shadow_concurrency,
            queue_size=settings.shadow_queue,
            timeout_seconds=settings.shadow_timeout_seconds,
        ),
    )


def _target_app(core: _Core) -> ASGIApp:
    """Return the Qdrant API over Postgres: writes carry their epoch and outbox, searches are sampled."""
    plane = core.plane
    authority = TargetAuthority(
        core.target,
        FencedPgStore(core.database),
        core.source,
        plane,
        core.control,
        core.resyncer,
        core.metrics,
    )
    compared = ShadowStore(
        authority,
        Side.TARGET,
        core.shadow,
        watch=lambda name: core.resyncer.watch.begin(plane.view.state(name).generation or 0),
        is_on=lambda name: compares(plane.view.state(name).stage),
    )
    return qdrant_app(compared, version=QDRANT_VERSION, max_body_bytes=core.settings.max_body_bytes)


def _proxy(core: _Core) -> Proxy:
    settings = core.settings
    target_app = _target_app(core)
    writes = SourceWrites(
        core.passer.send,
        core.commits,
        core.resyncer,
        ramp_answer_seconds=settings.ramp_answer_seconds,
    )
    answers = Answers(
        passer=core.passer,
        writes=writes,
        log=core.log,
        resyncer=core.resyncer,
        shadow=core.shadow,
        target_app=target_app,
        target_key=core.key,
    )
    return Proxy(
        plane=core.plane,
        answers=answers,
        whole_collections=WholeCollections(
            core.plane, core.control, core.source, core.passer, answers, target_app
        ),
        freeze_queue=FreezeQueue(
            core.plane,
            core.metrics,
            limit=settings.freeze_queue,
            seconds=settings.freeze_seconds,
        ),
        own_app=_own_app(core),
        metrics=core.metrics,
        tenant_header=settings.tenant_header,
        max_body_bytes=settings.max_body_bytes,
    )


def _own_app(core: _Core) -> ASGIApp:
    async def checks() -> dict[str, str | None]:
        # While Qdrant is right an instance without Postgres still serves: taking all of them out
        # of a load balancer at once would make an outage of what is none.
        if core.plane.view.needs_target:
            return {"postgres": await _failure(core.control.revision())}
        return {}

    async def refresh_gauges() -> None:
        for side, size in (await core.log.sizes()).items():
            core.metrics.ledger.labels(side).set(size)
        core.metrics.ledger_oldest_seconds.set(await core.log.oldest_seconds())

    return own_app(core.registry, checks, refresh_gauges)


def _operations(core: _Core) -> Operations:
    settings, source = core.settings, core.source
    metrics = BackfillMetrics(core.registry)
    jobs = PostgresJobs(core.database)

    async def read_source_config(name: str) -> CreateCollection:
        if source is None:
            raise CollectionNotFound(name)
        return create_request((await source.collection_info(name)).config)

    async def build_indexes(collection: str) -> list[str]:
        async with core.database.connection() as connection:
            tables = await catalog.get(connection, collection)
        return await hnsw.build_indexes(core.database, tables, min_rows=settings.index_min_rows)

    return Operations(
        plane=core.plane,
        control=core.control,
        changes=StageChanges(
            core.plane,
            core.control,
            read_source_config=read_source_config,
            freeze_seconds=settings.freeze_seconds,
        ),
        source=source,
        target=core.target,
        jobs=jobs,
        backfill=None
        if source is None
        else Backfill(source, jobs, metrics, page_size=settings.backfill_page_size),
        verification=None if source is None else Verification(source, core.target, metrics),
        build_indexes=build_indexes,
        shadow=core.shadow,
    )


async def _failure(question: Coroutine[Any, Any, object]) -> str | None:
    try:
        async with asyncio.timeout(2.0):
            await question
    except (VecferryError, TimeoutError) as error:
        return str(error) or "did not answer in time"
    return None
