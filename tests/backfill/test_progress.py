"""How fast a job goes, and how long it takes."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.jobs import Job, JobKind, JobState, Options
from backfill.progress import WINDOW_SECONDS, Speedometer, pace

JOB = Job(
    UUID(int=1), JobKind.BACKFILL, "c", 1, JobState.RUNNING, Options(), attempt=1, total=1_000
)


def _rate(*samples: tuple[float, int]) -> float | None:
    speedometer = Speedometer()
    for at, scanned in samples:
        speedometer.saw(scanned, at=at)
    return speedometer.points_per_second


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """What was before the window does not count, nor what is too short to tell."""
    assert _rate() is None
    assert _rate((100.0, 0), (100.2, 50)) is None
    assert _rate((100.0, 0), (100.2, 50), (110.0, 1_000)) == 100.0
    assert _rate((100.0, 0), (110.0, 1_000), (120.0, 1_000), (121.0, 1_000)) == 0.0


def test_a_job_that_begins_anew_has_no_rate_from_before() -> None:
    """Fewer points than before are another beginning, and never a negative rate."""
    assert _rate((0.0, 900), (1.0, 1_000), (2.0, 10)) is None
    assert _rate((0.0, 900), (1.0, 1_000), (2.0, 10), (4.0, 30)) == 10.0


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 1_000)), max_size=200))
def test_its_memory_is_bounded_by_its_window(steps: list[tuple[float, int]]) -> None:
    """Of the samples before the window only the last one is kept, and no rate is negative."""
    speedometer, at, scanned = Speedometer(), 0.0, 0
    for seconds, points in steps:
        at, scanned = at + seconds, scanned + points
        speedometer.saw(scanned, at=at)
        old = [each for each, _ in speedometer._samples if each <= at - WINDOW_SECONDS]
        assert len(old) <= 1
        assert (speedometer.points_per_second or 0.0) >= 0.0


@pytest.mark.parametrize(
    ("job", "rate", "average", "left"),
    [
        (replace(JOB, scanned=400, elapsed_seconds=8.0), 100.0, 50.0, 6.0),
        (replace(JOB, scanned=2_000, elapsed_seconds=8.0), 100.0, 250.0, 0.0),
        (replace(JOB, scanned=400, elapsed_seconds=8.0), 0.0, 50.0, None),
        (replace(JOB, scanned=400, total=None), 100.0, None, None),
    ],
)
def test_the_time_left_follows_from_the_recent_rate(
    job: Job, rate: float, average: float | None, left: float | None
) -> None:
    """Not from the average: a job that waits for an hour takes longer than it did."""
    found = pace(job, rate)
    assert (found.points_per_second, found.average_points_per_second) == (rate, average)
    assert found.seconds_left == left


def test_a_job_that_has_ended_has_only_an_average() -> None:
    """It takes no more time."""
    job = replace(JOB, state=JobState.DONE, scanned=1_000, elapsed_seconds=10.0)
    assert pace(job, 50.0) == pace(job, None)
    assert pace(job, None).average_points_per_second == 100.0
