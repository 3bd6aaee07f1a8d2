"""The operator's side of an instance, put together: the control API, and the long jobs that it starts."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.types import ASGIApp

from backfill.bell import Bell
from backfill.metrics import BackfillMetrics, JobGauges, ThrottleMetrics
from backfill.throttle import Throttle
from backfill.watch import JobWatch
from backfill.worker import Worker
from service.administration import Administration
from service.api.control import PREFIX, control_app
from service.api.quarantine import quarantine_routes
from service.api.receipts import receipt_routes
from service.api.repair import repair_routes
from service.api.schema import schema_routes
from service.arming import Arming
from service.background_jobs import conductor_of, kept_running, range_works
from service.control.change import StageChanges
from service.control.sourced import create_request
from service.core import Core, Source
from service.errors import CollectionNotFound
from service.jobs import LongJobs
from service.model.qdrant import CreateCollection
from service.protocol.whole_ledger import WholeLedger
from service.schema_plan import SchemaPlan
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.receipts import PostgresReceipts
from service.throttling import throttle_of
from service.upkeep import Upkeep

Background = tuple[Coroutine[Any, Any, None], ...]


@dataclass(frozen=True, slots=True)
class OperatorSide:
    """The control API, and what must run beside it."""

    app: ASGIApp
    background: Background


def operator_side(
    core: Core, source: Source | None, upkeep: Upkeep, operator_key: str
) -> OperatorSide:
    """Put it together; nothing runs yet."""
    changes = _changes(core)
    jobs, background = _long_jobs(core, source, changes)
    administration = Administration(
        plane=core.plane,
        changes=changes,
        source=core.source,
        target=core.target,
        jobs=jobs,
        shadow=core.shadow,
        ledger=WholeLedger(core.book, hints=core.recording.hints),
        upkeep=upkeep.to_json,
    )
    app = control_app(administration, operator_key=operator_key, more=_routes(core, upkeep))
    return OperatorSide(app, (*background, *upkeep.background))


def _changes(core: Core) -> StageChanges:
    source = core.source

    async def read_source_config(name: str) -> CreateCollection:
        if source is None:
            raise CollectionNotFound(name)
        return create_request((await source.collection_info(name)).config)

    return StageChanges(
        core.plane,
        core.control,
        core.recording.seals,
        read_source_config=read_source_config,
        follow=core.whole.follow,
        freeze_seconds=core.settings.freeze_seconds,
    )


def _long_jobs(
    core: Core, source: Source | None, changes: StageChanges
) -> tuple[LongJobs, Background]:
    """Return the jobs as an operator sees them, and what does them here."""
    metrics, throttle = BackfillMetrics(core.registry), _throttle(core)
    jobs, bell = PostgresJobs(core.database), Bell()
    watch = JobWatch(jobs, JobGauges(core.registry))
    shown = LongJobs(core.plane, jobs, watch, bell, throttle.to_json, has_source=source is not None)
    runs = {"job watch": watch.run}
    if source is not None:
        arming = Arming(core.plane, changes, core.control, source.store, core.whole.follow)
        runs["conductor"] = conductor_of(core, source, arming, metrics, bell).run
    if source is not None and core.settings.workers:
        works = range_works(core.settings, core.database, source.store, metrics, throttle)
        worker = Worker(
            works,
            PostgresRanges(core.database),
            core.plane.instance,
            concurrency=core.settings.workers,
            bell=bell,
        )
        runs["worker"] = worker.run
    return shown, tuple(kept_running(name, run) for name, run in runs.items())


def _throttle(core: Core) -> Throttle:
    return throttle_of(core.settings, core.database, ThrottleMetrics(core.registry))


def _routes(core: Core, upkeep: Upkeep) -> Sequence[APIRouter]:
    return (
        receipt_routes(PostgresReceipts(core.database), PREFIX),
        quarantine_routes(upkeep.quarantine, upkeep.repairs, PREFIX),
        repair_routes(upkeep.repairs, PREFIX),
        schema_routes(
            SchemaPlan(core.source or core.target, core.database, core.settings).of, PREFIX
        ),
    )
