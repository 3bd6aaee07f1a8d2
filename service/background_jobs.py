"""The long jobs put together: what works on ranges, in any process, and what begins and ends jobs, in an instance."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

import structlog

from backfill.bell import Bell
from backfill.conductor import Conductor
from backfill.confirming import Looks
from backfill.copying import BuildIndexes, CopySteps, CopyWork
from backfill.jobs import JobKind
from backfill.metrics import BackfillMetrics
from backfill.page_size import PageLimits
from backfill.queue import Note, Pace, RangeWork, StepWork
from backfill.verify import Effort, VerifyWork
from backfill.verify_steps import Patience, VerifySteps
from backfill.within_limits import WithinLimits
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

_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


def range_works(
    settings: Settings,
    database: Database,
    source: PointReader,
    metrics: BackfillMetrics,
    pace: Pace,
) -> Mapping[JobKind, RangeWork]:
    """Return what is done with ranges, by kind of job; nothing of it needs an instance."""
    queue = PostgresRanges(database)
    target = PgStore(database, index_min_rows=settings.index_min_rows)
    source = WithinLimits(source)
    points, size = settings.backfill_page_size, settings.backfill_page_bytes
    # A verification's page is of both stores together.
    effort = Effort(most_points=points, page_bytes=2 * size)
    room = PostgresReceipts(database)
    return {
        JobKind.BACKFILL: CopyWork(source, queue, pace, metrics, limits=PageLimits(points, size)),
        JobKind.VERIFY: VerifyWork(source, target, queue, room, pace, metrics, effort),
    }


def conductor_of(
    core: Core, source: Source, arming: Arming, metrics: BackfillMetrics, bell: Bell
) -> Conductor:
    """Return what begins and ends jobs of every kind."""
    jobs = PostgresJobs(core.database)
    steps: Mapping[JobKind, StepWork] = {
        JobKind.BACKFILL: CopySteps(
            WithinLimits(source.store), arming.armed, _index_builder(core), arming.backfilled
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
    key = core.settings.receipt_key
    return VerifySteps(
        Looks(WithinLimits(source.store), core.target, judge_of(core, source)),
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
        began = monotonic()
        try:
            await run()
        except Exception:  # noqa: BLE001 - a fault of ours, that must not end the process
            _log.exception("background_job_failed", name=name, pause_seconds=pause)
        if monotonic() - began > _LONGEST_PAUSE_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
