"""The long jobs put together: what works on ranges, in any process, and what begins and ends jobs, in an instance."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import structlog

from backfill.bell import Bell
from backfill.conductor import Conductor
from backfill.confirming import Looks
from backfill.copying import BuildIndexes, CopySteps, CopyWork
from backfill.jobs import JobKind
from backfill.metrics import BackfillMetrics, ThrottleMetrics
from backfill.page_size import PageLimits
from backfill.queue import Note, RangeWork, StepWork
from backfill.verify import Effort, VerifyWork
from backfill.verify_steps import Patience, VerifySteps
from backfill.worker import Worker
from service.arming import Arming
from service.config import Settings
from service.core import Core, Source
from service.ports import PointReader
from service.protocol.mirrors import SourceMirror
from service.stores.postgres import catalog, hnsw
from service.stores.postgres.confirming import PostgresJudge
from service.stores.postgres.database import Database
from service.stores.postgres.hnsw import BuildLimits
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.quarantine import PostgresQuarantine
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.receipts import PostgresReceipts, PostgresSurroundings
from service.stores.postgres.store import PgStore
from service.throttling import throttle_of

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


def worker_of(
    settings: Settings,
    database: Database,
    source: PointReader,
    metrics: tuple[BackfillMetrics, ThrottleMetrics],
    *,
    owner: UUID,
    bell: Bell,
) -> Worker:
    """Return what works on ranges of every kind of job; nothing of it needs an instance."""
    counters, throttled = metrics
    queue, pace = PostgresRanges(database), throttle_of(settings, database, throttled)
    target = PgStore(database, index_min_rows=settings.index_min_rows)
    works: Mapping[JobKind, RangeWork] = {
        JobKind.BACKFILL: CopyWork(
            source,
            queue,
            pace,
            counters,
            limits=PageLimits(settings.backfill_page_size, settings.backfill_page_bytes),
        ),
        JobKind.VERIFY: VerifyWork(
            source,
            target,
            queue,
            PostgresReceipts(database),
            pace,
            counters,
            Effort(
                most_points=settings.backfill_page_size,
                page_bytes=2 * settings.backfill_page_bytes,  # of both stores together
            ),
        ),
    }
    return Worker(works, queue, owner, concurrency=settings.workers, bell=bell)


def conductor_of(
    core: Core, source: Source, arming: Arming, metrics: BackfillMetrics, bell: Bell
) -> Conductor:
    """Return what begins and ends jobs of every kind."""
    jobs = PostgresJobs(core.database)
    steps: Mapping[JobKind, StepWork] = {
        JobKind.BACKFILL: CopySteps(
            source.store, arming.armed, _index_builder(core), arming.backfilled
        ),
        JobKind.VERIFY: _verify_steps(core, source, jobs, metrics),
    }
    return Conductor(steps, jobs, core.plane.instance, bell=bell)


def _index_builder(core: Core) -> BuildIndexes:
    async def build(collection: str, note: Note) -> Sequence[Mapping[str, object]]:
        async with core.database.connection() as connection:
            tables = await catalog.get(connection, collection)
        built = await hnsw.build_indexes(
            core.database,
            tables,
            min_rows=core.settings.index_min_rows,
            limits=BuildLimits(core.settings.index_memory_mb, core.settings.index_workers),
            note=note,
        )
        for index in built:
            core.metrics.index_was_built(index.seconds, is_spilled=index.spilled is not None)
        return [index.to_json() for index in built]

    return build


def judge_of(core: Core, source: Source) -> PostgresJudge:
    """Return what looks at ids of both stores under their locks."""
    return PostgresJudge(core.database, SourceMirror(source.store).fetcher, core.recording.hints)


def _verify_steps(
    core: Core, source: Source, jobs: PostgresJobs, metrics: BackfillMetrics
) -> VerifySteps:
    judge = PostgresJudge(core.database, SourceMirror(source.store).fetcher, core.recording.hints)
    key = core.settings.receipt_key
    return VerifySteps(
        Looks(source.store, core.target, judge),
        jobs,
        PostgresReceipts(core.database),
        PostgresQuarantine(core.database),
        PostgresSurroundings(core.database, source.http.version),
        metrics,
        Patience(grace_seconds=core.settings.grace_seconds),
        key=None if key is None else key.get_secret_value().encode(),
    )


async def kept_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run what never ends; a fault of it is logged and it begins anew, because the process serves production."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - a fault of ours, that must not end the process
            _log.exception("background_job_failed", name=name, pause_seconds=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
