"""A job as people read it."""

import pytest

from service.cli.rendering import beside_bar, duration, line
from tests.service.cli.shown import a_job


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (
            a_job(
                scanned=12_000, points_per_second=4_210.4, average_points_per_second=3_900.0,
                seconds_left=20.9, workers=2, ranges_done=1,
            ),
            "running, 12,000/100,000 points (12%), 4,210 now, 3,900 overall points/s, 21 s left, 2 workers, range 1/2",
        ),
        (
            a_job(note="target latency 412 ms > 250 ms"),
            "running, 0/100,000 points (0%), 1 worker, range 0/2, target latency 412 ms > 250 ms",
        ),
        (a_job(phase="preparing", total=None, note="why"), "preparing, 0 points, why"),
        (
            a_job(options={"paused": True}, workers=0),
            "paused, 0/100,000 points (0%), 0 workers, range 0/2",
        ),
        (
            a_job(state="failed", phase="failed", scanned=7, error="no way"),
            "failed, 7/100,000 points (0%), error: no way",
        ),
        (a_job(state="done", phase="done", scanned=0, total=0), "done, 0 points"),
        (a_job(kind="verify", state="done", phase="done", total=0, clean=True), "done: equal, 0 points"),
        (a_job(kind="verify", state="done", phase="done", total=0, clean=False), "done: NOT EQUAL, 0 points"),
        (a_job(scanned=200_000, phase="finishing"), "finishing, 200,000/100,000 points (100%)"),
    ],
)  # fmt: skip
def test_a_line_says_how_far_how_fast_and_why_not(job: dict[str, object], told: str) -> None:
    """What is not known is left out; more points than were counted at the beginning are no more than all."""
    assert line(job) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3_599.9, "1 h 0 min"), (90_061, "25 h 1 min")],
)  # fmt: skip
def test_a_duration_has_two_units(seconds: float, told: str) -> None:
    """Rounded once, so that no unit is full."""
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (a_job(scanned=12_000, points_per_second=4_210.4, seconds_left=20.9), "12,000 4,210/s 21 s left"),
        (a_job(phase="finishing", scanned=7, note="building indexes"), "finishing 7 building indexes"),
        (a_job(phase="preparing", note="why"), "preparing 0 why"),
    ],
)  # fmt: skip
def test_beside_a_bar_few_words_are_enough(job: dict[str, object], told: str) -> None:
    """The share is the bar's."""
    assert beside_bar(job) == told
