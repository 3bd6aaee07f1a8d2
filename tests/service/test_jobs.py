"""The operator's verbs on long jobs, over a real control table and real jobs."""

from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from backfill.bell import Bell
from backfill.jobs import JobKind, JobState
from backfill.key_range import KeyRange
from backfill.metrics import JobGauges
from backfill.queue import Advance
from backfill.watch import JobWatch
from service.control.plane import ControlPlane
from service.control.state import CollectionState, View
from service.errors import StageError
from service.jobs import LongJobs
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from tests.service.planes import CONFIG, started_plane

OWNER = uuid4()


async def _jobs(
    database: Database, *, has_source: bool = True, default_stage: Stage = Stage.OFF
) -> LongJobs:
    control = PostgresControl(database)
    await control.arm("c", CONFIG, actor="test", is_new=False)
    plane = await started_plane(control, default_stage=default_stage)
    jobs = PostgresJobs(database)
    watch = JobWatch(jobs, JobGauges(CollectorRegistry()))
    return LongJobs(plane, jobs, watch, Bell(), dict, has_source=has_source)


async def _done(database: Database) -> None:
    """Bring the open backfill to its end, as conductor and worker do."""
    steps, ranges = PostgresJobs(database), PostgresRanges(database)
    step = await steps.claim_step(OWNER, [JobKind.BACKFILL])
    assert step is not None
    await steps.prepared(step, [KeyRange()], 0)
    claim = await ranges.claim(OWNER, [JobKind.BACKFILL])
    assert claim is not None
    await ranges.advance(claim, Advance(None, scanned=0))
    step = await steps.claim_step(OWNER, [JobKind.BACKFILL])
    assert step is not None
    await steps.finished(step, {"indexes": []})


async def test_a_job_that_is_open_is_returned_with_what_was_asked_for(database: Database) -> None:
    """Who starts it again follows the same job, and his options count."""
    jobs = await _jobs(database)
    first = await jobs.start(JobKind.BACKFILL, "c", {"workers": 2})
    again = await jobs.start(JobKind.BACKFILL, "c", {"points_per_second": 5.0})
    assert again.id == first.id
    assert (again.options.workers, again.options.points_per_second) == (2, 5.0)
    anew = await jobs.start(JobKind.BACKFILL, "c", {}, restart=True)
    assert (anew.id == first.id, anew.options.workers) == (False, None)


async def test_every_order_rings_the_bell(database: Database) -> None:
    """Whoever waits in this process looks at once instead of with its next poll."""
    jobs = await _jobs(database)
    await jobs.start(JobKind.BACKFILL, "c", {})
    started = jobs.bell.times
    await jobs.tune(JobKind.BACKFILL, "c", {"paused": True})
    assert 0 < started < jobs.bell.times


async def test_a_backfill_that_nobody_has_recorded_is_made_again(database: Database) -> None:
    """Else the stages that need one would stay shut, and every further run would say that there is nothing to do."""
    jobs = await _jobs(database)
    first = await jobs.start(JobKind.BACKFILL, "c", {})
    await _done(database)
    again = await jobs.start(JobKind.BACKFILL, "c", {})
    assert (again.state, again.id == first.id) == (JobState.PREPARING, False)
    await _done(database)
    await PostgresControl(database).mark_backfilled("c", again.generation)
    assert (await jobs.start(JobKind.BACKFILL, "c", {})).state is JobState.DONE


async def test_what_is_not_open_is_neither_tuned_nor_ended(database: Database) -> None:
    """The reason says what there is."""
    jobs = await _jobs(database)
    with pytest.raises(StageError, match="`c` has no backfill"):
        await jobs.tune(JobKind.BACKFILL, "c", {"paused": True})
    await jobs.start(JobKind.BACKFILL, "c", {})
    assert (await jobs.cancel(JobKind.BACKFILL, "c")).state is JobState.CANCELLED
    with pytest.raises(StageError, match="the backfill of `c` is cancelled"):
        await jobs.cancel(JobKind.BACKFILL, "c")
    with pytest.raises(StageError, match="`c` has no verification"):
        await jobs.cancel(JobKind.VERIFY, "c")


async def test_jobs_are_found_by_name_before_pattern(database: Database) -> None:
    """A name with brackets can be asked for."""
    jobs = await _jobs(database)
    for name in ("a[1]", "a1"):
        await PostgresControl(database).arm(name, CONFIG, actor="test", is_new=False)
        await jobs.start(JobKind.BACKFILL, name, {})
    await jobs.start(JobKind.VERIFY, "c", {})

    async def found(pattern: str, *kinds: JobKind) -> list[tuple[str, JobKind]]:
        return [(job.collection, job.kind) for job in await jobs.listed(pattern, kinds or JobKind)]

    copied = JobKind.BACKFILL
    assert await found("a[1]") == [("a[1]", copied)]
    assert await found("a[0-9]") == [("a1", copied)]
    assert await found("*", copied) == [("a1", copied), ("a[1]", copied)]
    assert await found("c") == [("c", JobKind.VERIFY)]


@pytest.mark.parametrize("kind", JobKind)
async def test_without_a_source_there_is_nothing_to_do(database: Database, kind: JobKind) -> None:
    """The refusal names the stage."""
    jobs = await _jobs(database, has_source=False)
    with pytest.raises(StageError, match="`c` is in stage dualwrite; "):
        await jobs.start(kind, "c", {})


@pytest.mark.parametrize("kind", JobKind)
async def test_a_collection_that_is_mirrored_only_by_default_says_how_to_begin(
    database: Database, kind: JobKind
) -> None:
    """Before its first request it has no tables: no job can run, and the command that makes them is named."""
    jobs = await _jobs(database, default_stage=Stage.DUALWRITE)
    told = "`new` is not mirrored yet; run `vecferry stage set new dualwrite`"
    with pytest.raises(StageError, match=told):
        await jobs.start(kind, "new", {})


async def test_a_dropped_collection_is_not_said_to_be_unmirrored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropped in `live` the name keeps its stage; `stage set … dualwrite` would be the wrong advice."""
    jobs = await _jobs(database)
    view = View(9, [CollectionState("c", Stage.LIVE)], default_stage=Stage.OFF)

    async def refresh(_: ControlPlane) -> View:
        return view

    monkeypatch.setattr(ControlPlane, "refresh", refresh)
    with pytest.raises(StageError, match="`c` was dropped"):
        await jobs.start(JobKind.VERIFY, "c", {})
