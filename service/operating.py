"""The operator's side of an instance, put together: the control API, and the long jobs that it starts."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.types import ASGIApp

from backfill.bell import Bell
from backfill.confirming import Looks
from backfill.metrics import BackfillMetrics, JobGauges, ThrottleMetrics
from backfill.watch import JobWatch
from service.administration import Administration
from service.api.control import PREFIX, control_app
from service.api.quarantine import quarantine_routes
from service.api.receipts import receipt_routes
from service.api.repair import repair_routes
from service.arming import Arming
from service.background_jobs import conductor_of, judge_of, kept_running, worker_of
from service.control.change import StageChanges
from service.control.sourced import create_request
from service.core import Core, Source
from service.errors import CollectionNotFound
from service.jobs import LongJobs
from service.model.qdrant import CreateCollection
from service.protocol.resettling import Resettling
from service.protocol.whole_ledger import WholeLedger
from service.repairing import Repairs
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.quarantine import PostgresQuarantine
from service.stores.postgres.receipts import PostgresReceipts
from service.stores.postgres.repairing import PostgresSuspected

Background = tuple[Coroutine[Any, Any, None], ...]


@dataclass(frozen=True, slots=True)
class OperatorSide:
    """The control API, and what must run beside it."""

    app: ASGIApp
    background: Background


def operator_side(core: Core, source: Source | None, operator_key: str) -> OperatorSide:
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
    )
    app = control_app(administration, operator_key=operator_key, more=_routes(core, source))
    return OperatorSide(app, background)


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
    metrics = BackfillMetrics(core.registry), ThrottleMetrics(core.registry)
    jobs, bell = PostgresJobs(core.database), Bell()
    watch = JobWatch(jobs, JobGauges(core.registry))
    shown = LongJobs(core.plane, jobs, watch, bell, has_source=source is not None)
    runs = {"job watch": watch.run}
    if source is not None:
        arming = Arming(core.plane, changes, core.control, source.store, core.whole.follow)
        runs["conductor"] = conductor_of(core, source, arming, metrics[0], bell).run
    if source is not None and core.settings.workers:
        owner = core.plane.instance
        worker = worker_of(
            core.settings, core.database, source.store, metrics, owner=owner, bell=bell
        )
        runs["worker"] = worker.run
    return shown, tuple(kept_running(name, run) for name, run in runs.items())


def _routes(core: Core, source: Source | None) -> Sequence[APIRouter]:
    quarantine = PostgresQuarantine(core.database)
    repairs = None
    if source is not None:
        repairs = Repairs(
            core.plane,
            PostgresSuspected(core.database),
            quarantine,
            Looks(source.store, core.target, judge_of(core, source)),
            Resettling(core.log, core.resyncer, core.plane.instance),
        )
    return (
        receipt_routes(PostgresReceipts(core.database), PREFIX),
        quarantine_routes(quarantine, repairs, PREFIX),
        repair_routes(repairs, PREFIX),
    )
