"""What both surfaces of an instance share, put together: the stores, the control plane, the protocol, the shadow reads.

The first half of the composition root; the surfaces are in ``service/main.py``.
"""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from service.config import Settings
from service.control.detachment import Detachment
from service.control.marks import MarkWatch
from service.control.plane import ControlPlane
from service.control.recorder import Recorder
from service.control.sealing import Seals
from service.control.unrecorded import NoHints, NoRegister
from service.metrics import ProxyMetrics
from service.protocol.commits import BUDGET_SECONDS, GroupCommit
from service.protocol.hints import HintCommits, HintMover
from service.protocol.ledger import HintStore
from service.protocol.mirrors import NoSource, SourceMirror
from service.protocol.resync import Resyncer
from service.protocol.whole import WholeChanges
from service.proxy.passing import Passer
from service.stages import Side
from service.stores.postgres import payload_indexes
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.graph_keeper import GraphKeeper
from service.stores.postgres.hinted import PostgresHinted
from service.stores.postgres.hnsw import BuildLimits
from service.stores.postgres.index_keeper import IndexKeeper
from service.stores.postgres.intents import PostgresIntents
from service.stores.postgres.ledger import PostgresBook
from service.stores.postgres.opening import Opening
from service.stores.postgres.store import PgStore
from service.stores.postgres.whole import PostgresWhole
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.hints import QdrantHints
from service.stores.qdrant.register import QdrantRegister
from service.stores.qdrant.store import QdrantStore
from shadow.metrics import ShadowMetrics
from shadow.reads import ShadowReads
from shadow.sampling import Sampler

Background = tuple[Coroutine[Any, Any, None], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Qdrant, where there is one."""

    http: QdrantHttp
    store: QdrantStore
    passer: Passer


@dataclass(frozen=True, slots=True)
class Databases:
    """Two pools on one database: what holds a connection for long keeps no intent and no heartbeat waiting (R14)."""

    shared: Database
    reserved: Database
    opening: Opening


@dataclass(frozen=True, slots=True)
class Recording:
    """What the source keeps of the control state, and what follows from it (R6)."""

    seals: Seals
    recorder: Recorder
    marks: MarkWatch | None = None
    hints: HintStore | None = None
    commits: HintCommits | None = None
    background: Background = ()


@dataclass(frozen=True, slots=True)
class Core:
    """The parts, wired."""

    settings: Settings
    databases: Databases
    source: QdrantStore | None
    passer: Passer
    target: PgStore
    registry: CollectorRegistry
    metrics: ProxyMetrics
    control: PostgresControl
    log: PostgresIntents
    book: PostgresBook
    plane: ControlPlane
    recording: Recording
    resyncer: Resyncer
    commits: GroupCommit
    whole: WholeChanges
    indexes: IndexKeeper
    graphs: GraphKeeper
    shadow: ShadowReads

    @property
    def database(self) -> Database:
        """The pool for everything that no client waits for."""
        return self.databases.shared

    @property
    def key(self) -> str | None:
        """Qdrant's API key, if there is one."""
        key = self.settings.qdrant_api_key
        return key.get_secret_value() if key else None

    @property
    def background(self) -> Background:
        """What must run beside the surfaces."""
        return (
            self.databases.opening.run(),
            self.plane.run(),
            self.resyncer.run(),
            self.commits.run(),
            self.whole.run(),
            self.indexes.run(),
            self.graphs.run(),
            self.shadow.run(),
            *self.recording.background,
        )


def core_of(settings: Settings, databases: Databases, source: Source | None) -> Core:
    """Put the parts together; nothing runs yet."""
    registry = CollectorRegistry()
    metrics = ProxyMetrics(registry)
    control = PostgresControl(databases.reserved)
    log = PostgresIntents(
        databases.shared, databases.reserved, dead_after=settings.dead_letter_failures
    )
    target = PgStore(databases.shared, index_min_rows=settings.index_min_rows)
    store = None if source is None else source.store

    async def load_aliases() -> dict[str, str]:
        return {} if store is None else await store.aliases()

    plane = ControlPlane(
        control, default_stage=settings.default_stage, load_aliases=load_aliases, metrics=metrics
    )
    resyncer = Resyncer(
        log,
        NoSource() if store is None else SourceMirror(store),
        plane.instance,
        metrics,
        grace_seconds=settings.grace_seconds,
    )
    parts = _Parts(settings, databases, plane, control, resyncer, metrics)
    recording = _unrecorded(parts) if source is None else _recording(parts, source)
    return Core(
        settings=settings,
        databases=databases,
        source=store,
        passer=Passer(None) if source is None else source.passer,
        target=target,
        registry=registry,
        metrics=metrics,
        control=control,
        log=log,
        book=PostgresBook(databases.shared),
        plane=plane,
        recording=recording,
        resyncer=resyncer,
        commits=GroupCommit(
            log,
            plane.instance,
            metrics,
            hints=recording.commits,
            seconds=BUDGET_SECONDS if source is None else settings.intent_budget_seconds,
        ),
        whole=WholeChanges(
            PostgresWhole(databases.shared, databases.reserved),
            store,
            plane,
            metrics,
            grace_seconds=settings.grace_seconds,
            hold_seconds=settings.freeze_seconds,
            records=None if source is None else recording.seals,
        ),
        indexes=IndexKeeper(databases.shared, payload_indexes.sync_indexes),
        graphs=GraphKeeper(
            databases.shared,
            min_rows=settings.index_min_rows,
            limits=BuildLimits(settings.index_memory_mb, settings.index_workers),
            built=lambda index: metrics.index_was_built(
                index.seconds, is_spilled=index.spilled is not None
            ),
        ),
        shadow=ShadowReads(
            {Side.TARGET: target} if store is None else {Side.TARGET: target, Side.SOURCE: store},
            Sampler(settings.shadow_sample_rate),
            ShadowMetrics(registry),
            concurrency=settings.shadow_concurrency,
            queue_size=settings.shadow_queue,
            timeout_seconds=settings.shadow_timeout_seconds,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the recording is made of."""

    settings: Settings
    databases: Databases
    plane: ControlPlane
    control: PostgresControl
    resyncer: Resyncer
    metrics: ProxyMetrics


def _unrecorded(parts: _Parts) -> Recording:
    recorder = Recorder(parts.plane, NoRegister(), parts.control)
    seals = Seals(
        recorder,
        NoRegister(),
        NoHints(),
        parts.control,
        seconds=parts.settings.freeze_seconds,
        grace_seconds=parts.settings.grace_seconds,
    )
    return Recording(seals, recorder)


def _recording(parts: _Parts, source: Source) -> Recording:
    settings, plane = parts.settings, parts.plane
    register, hints = QdrantRegister(source.http), QdrantHints(source.http)
    recorder = Recorder(plane, register, parts.control)
    detachment = Detachment(
        plane,
        register,
        load_aliases=source.store.aliases,
        own_left=lambda: mover.own_left(),  # noqa: PLW0108 - it is made below
        grace_seconds=settings.grace_seconds,
    )
    commits = HintCommits(hints, register, detachment, parts.metrics)
    mover = HintMover(
        hints,
        PostgresHinted(parts.databases.reserved),
        commits,
        parts.resyncer,
        owner=plane.instance,
        metrics=parts.metrics,
    )
    marks = MarkWatch(plane, register, hints, grace_seconds=settings.grace_seconds)
    return Recording(
        seals=Seals(
            recorder,
            register,
            hints,
            parts.control,
            seconds=settings.freeze_seconds,
            grace_seconds=settings.grace_seconds,
        ),
        recorder=recorder,
        marks=marks,
        hints=hints,
        commits=commits,
        background=(recorder.run(), detachment.run(), marks.run(), mover.run()),
    )
