"""What the gauges show of jobs, and for how long."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from uuid import UUID

from prometheus_client import CollectorRegistry

from backfill.jobs import Job, JobKind, JobState, Options
from backfill.metrics import JobGauges
from backfill.queue import Jobs
from backfill.watch import JobWatch

JOB = Job(UUID(int=1), JobKind.BACKFILL, "c", 1, JobState.RUNNING, Options(), attempt=1, total=100)


class Stored:
    """The jobs of a database; ``lists`` counts how often all of them were asked for."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = list(jobs)
        self.lists = 0

    async def open_jobs(self) -> Sequence[Job]:
        return [job for job in self.jobs if job.state.is_open]

    async def latest_of_all(self) -> Sequence[Job]:
        self.lists += 1
        return self.jobs


class Clock:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _rig(*jobs: Job) -> tuple[Stored, CollectorRegistry, Clock, JobWatch]:
    stored, registry, clock = Stored(*jobs), CollectorRegistry(), Clock()
    return stored, registry, clock, JobWatch(
        cast("Jobs", stored), JobGauges(registry), clock=clock
    )  # fmt: skip


def _shown(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"kind": "backfill", "collection": "c", **labels})


async def test_an_open_job_is_shown_with_its_rate() -> None:
    """By kind and collection, with what it waits for as yes or no."""
    stored, registry, clock, watch = _rig(replace(JOB, scanned=10, workers=2, ranges=4))
    assert await watch.look()
    clock.now = 2.0
    stored.jobs = [replace(JOB, scanned=30, workers=2, ranges=4, ranges_done=1, note="slow")]
    assert await watch.look()
    shown = {
        "vecferry_job_points_scanned": 30, "vecferry_job_points": 100,
        "vecferry_job_points_per_second": 10, "vecferry_job_seconds_left": 7, "vecferry_job_ranges": 4,
        "vecferry_job_ranges_done": 1, "vecferry_job_workers": 2, "vecferry_job_waiting": 1,
    }  # fmt: skip
    assert {name: _shown(registry, name) for name in shown} == shown
    assert _shown(registry, "vecferry_job_state", state="running") == 1
    assert watch.pace_of(stored.jobs[0]).points_per_second == 10.0


async def test_a_job_is_shown_for_a_while_after_its_end() -> None:
    """So that a scrape sees how it ended; all jobs are read once for that, not at every look."""
    stored, registry, clock, watch = _rig(JOB)
    await watch.look()
    stored.jobs = [replace(JOB, state=JobState.DONE, scanned=100)]
    for clock.now in (1.0, 300.0, 600.0):
        assert not await watch.look()
        assert _shown(registry, "vecferry_job_points_scanned") == 100
        assert _shown(registry, "vecferry_job_state", state="done") == 1
    assert stored.lists == 1
    clock.now = 602.0
    await watch.look()
    assert _shown(registry, "vecferry_job_points_scanned") is None
    assert not watch._speedometers


async def test_jobs_that_ended_long_ago_are_not_shown() -> None:
    """Ten thousand collections that were copied last year are not ten thousand series."""
    stored, registry, _, watch = _rig(replace(JOB, state=JobState.DONE))
    assert not await watch.look()
    assert (_shown(registry, "vecferry_job_points_scanned"), stored.lists) == (None, 0)


async def test_a_newer_job_hides_the_one_before() -> None:
    """Both have the same labels."""
    stored, registry, _, watch = _rig(JOB)
    await watch.look()
    stored.jobs = [replace(JOB, state=JobState.DONE, scanned=100)]
    await watch.look()
    stored.jobs.append(replace(JOB, id=UUID(int=2), scanned=7))
    await watch.look()
    assert _shown(registry, "vecferry_job_points_scanned") == 7
    assert _shown(registry, "vecferry_job_state", state="done") == 0
