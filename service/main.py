"""The composition root: the only place that knows which parts there are and how they fit together."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.types import ASGIApp

from backfill.metrics import QuarantineMetrics
from service import keys
from service.api.own import own_app
from service.api.qdrant.app import qdrant_app
from service.config import PREFIX, Settings
from service.control.plane import ControlPlane
from service.control.readiness import not_ready
from service.control.state import CollectionState
from service.core import Core, Databases, Source, core_of
from service.embedded.engines import Engines, start_engines
from service.errors import (
    ConfigurationError,
    StoreError,
    TargetUnavailable,
    VecferryError,
)
from service.operating import operator_side
from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites
from service.protocol.target_writes import TargetAuthority
from service.protocol.whole import WholeChanges
from service.proxy.answers import Answers
from service.proxy.attempts import Attempts
from service.proxy.bounds import InFlight, Room
from service.proxy.collections import WholeCollections
from service.proxy.freezing import FreezeQueue
from service.proxy.passing import Passer
from service.proxy.proxy import Proxy
from service.queries.strict.mode import StrictMode
from service.stages import Side, compares
from service.stores.postgres.collections import PgCollections
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.postgres.opening import Opening
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import TURN_SECONDS, QdrantHttp
from service.stores.qdrant.forward import Forwarder
from service.stores.qdrant.store import QdrantStore
from service.upkeep import Upkeep, upkeep_of
from shadow.store import ShadowStore

_log = structlog.get_logger(__name__)

QDRANT_VERSION = "1.19.0"
"""What ``GET /`` says where no Qdrant answers: clients compare it with their own."""


_LEAVE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A wired instance: two ASGI applications, and the coroutines that must run beside them."""

    proxy: ASGIApp
    control: ASGIApp
    background: tuple[Coroutine[Any, Any, None], ...]
    plane: ControlPlane
    resyncer: Resyncer
    whole: WholeChanges

    async def stop(self) -> None:
        """Leave the other instances, saying so in the database if that is reachable."""
        with suppress(VecferryError, TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self.plane.stop(is_drained=self.resyncer.is_idle and self.whole.is_idle)


@asynccontextmanager
async def instance(settings: Settings) -> AsyncIterator[Instance]:
    """Start the engines that are not configured, connect, and wire everything.

    Without Postgres it serves what can be decided without it, until it answers. Raises ``ConfigurationError``, one line
    that names the setting, for what an operator must mend.
    """
    async with AsyncExitStack() as stack:
        engines = await start_engines(stack, settings)
        databases = await _connect_target(stack, settings, engines.database_url)
        source = await _connect_source(stack, settings, engines)
        wired = await _wire(settings, databases, source)
        stack.push_async_callback(wired.stop)
        yield wired


async def _connect_target(stack: AsyncExitStack, settings: Settings, url: str) -> Databases:
    reserved = max(2, settings.database_connections // 4)
    shared = max(2, settings.database_connections - reserved)
    first, second = (
        Database(url, max_size=size, pooled=settings.database_transaction_pooler)
        for size in (shared, reserved)
    )
    for pool in (first, second):
        stack.push_async_callback(pool.close)
    opening = Opening(url, (first, second))
    try:
        await opening.once()
    except TargetUnavailable as error:
        _log.warning("started_without_postgres", error=str(error))
    except (ConfigurationError, StoreError) as error:
        message = f"{PREFIX}DATABASE_URL: {error}"
        raise ConfigurationError(message) from error
    return Databases(first, second, opening)


async def _connect_source(
    stack: AsyncExitStack, settings: Settings, engines: Engines
) -> Source | None:
    if engines.qdrant_url is None:
        return None
    key = settings.qdrant_api_key
    turn_seconds = min(TURN_SECONDS, max(1.0, settings.grace_seconds / 4))
    http = QdrantHttp(
        engines.qdrant_url,
        api_key=key.get_secret_value() if key else None,
        timeout_seconds=settings.qdrant_timeout_seconds,
        max_connections=settings.qdrant_connections,
        turn_seconds=turn_seconds,
    )
    forwarder = Forwarder(
        engines.qdrant_url,
        timeout_seconds=settings.qdrant_timeout_seconds,
        max_connections=settings.qdrant_connections,
        turn_seconds=turn_seconds,
    )
    stack.push_async_callback(http.aclose)
    stack.push_async_callback(forwarder.aclose)
    return Source(http, QdrantStore(http), Passer(forwarder))


async def _wire(settings: Settings, databases: Databases, source: Source | None) -> Instance:
    core = core_of(settings, databases, source)
    upkeep = upkeep_of(core, source)
    operator = operator_side(core, source, upkeep, keys.ensure(settings.data_dir))
    attempts = Attempts()
    with suppress(TargetUnavailable):
        await core.plane.start()
    return Instance(
        proxy=_proxy(core, attempts, upkeep),
        control=operator.app,
        background=(*core.background, *operator.background, attempts.run()),
        plane=core.plane,
        resyncer=core.resyncer,
        whole=core.whole,
    )


def _target_app(core: Core) -> ASGIApp:
    """Return the Qdrant API over Postgres: writes carry their epoch and outbox, searches are sampled."""
    plane = core.plane
    strict = StrictMode()
    authority = TargetAuthority(
        PgStore(core.database, strict=strict),
        FencedPgStore(core.database, strict=strict),
        PgCollections(core.database),
        plane,
        core.whole,
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


def _proxy(core: Core, attempts: Attempts, upkeep: Upkeep) -> Proxy:
    settings = core.settings
    target_app = _target_app(core)
    marks = core.recording.marks

    async def renewed(name: str) -> CollectionState:
        await core.plane.renewed(name)
        return core.plane.view.state(name)

    writes = SourceWrites(
        core.passer.send,
        core.commits,
        core.resyncer,
        renewed=renewed,
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
        attempts=attempts,
        may_move=lambda: marks is not None and marks.is_clear(core.plane.view.read_at),
        ramp_read_seconds=settings.ramp_read_seconds,
    )
    return Proxy(
        plane=core.plane,
        answers=answers,
        whole_collections=WholeCollections(
            core.plane, core.control, core.source, core.passer, answers, target_app, core.whole
        ),
        freeze_queue=FreezeQueue(
            core.plane,
            core.metrics,
            limit=settings.freeze_queue,
            seconds=settings.freeze_seconds,
        ),
        own_app=_own_app(core, upkeep),
        metrics=core.metrics,
        tenant_header=settings.tenant_header,
        max_body_bytes=settings.max_body_bytes,
        in_flight=InFlight(settings.max_requests),
        room=Room(settings.max_buffered_bytes),
    )


def _own_app(core: Core, upkeep: Upkeep) -> ASGIApp:
    quarantined = QuarantineMetrics(core.registry)

    async def checks() -> dict[str, str | None]:
        return not_ready(core.plane)

    async def refresh_gauges() -> None:
        core.metrics.ledger_is_current.set(0)
        core.metrics.show_ledger(await core.book.tallies(collection=None))
        quarantined.show(await upkeep.quarantine.counts())

    return own_app(core.registry, checks, refresh_gauges)
