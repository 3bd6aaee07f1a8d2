"""How fast a job goes and how long it still takes. Pure, but for the samples that it keeps.

A rate compares moments of one clock only: the recent one those of the process that shows it, the average those of the
database.
"""

from collections import deque
from dataclasses import dataclass, field

from backfill.jobs import Job

WINDOW_SECONDS = 10.0
_LEAST_SECONDS = 0.5
"""Below it a rate says more about when pages happened to end than about the job."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Points per second and seconds; ``None`` is not known."""

    points_per_second: float | None
    """Over the last ``WINDOW_SECONDS``."""
    average_points_per_second: float | None
    """Since the job was made, its waits included."""
    seconds_left: float | None


@dataclass(slots=True)
class Speedometer:
    """Keeps what one job had scanned at moments of the last seconds."""

    window_seconds: float = WINDOW_SECONDS
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def saw(self, scanned: int, *, at: float) -> None:
        """Take a sample; ``at`` is a moment of the monotonic clock. Going back begins anew."""
        if self._samples and scanned < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((at, scanned))
        while len(self._samples) > 1 and self._samples[1][0] <= at - self.window_seconds:
            self._samples.popleft()

    @property
    def points_per_second(self) -> float | None:
        """The rate between the first and the last sample of the window."""
        if not self._samples:
            return None
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        seconds = last_at - first_at
        return None if seconds < _LEAST_SECONDS else (last - first) / seconds


def pace(job: Job, points_per_second: float | None) -> Pace:
    """Return the pace of a job whose recent rate is given; one that has ended has none and needs no time."""
    average = job.scanned / job.elapsed_seconds if job.elapsed_seconds > 0 else None
    if not job.state.is_open:
        return Pace(None, average, None)
    return Pace(points_per_second, average, _seconds_left(job, points_per_second))


def _seconds_left(job: Job, points_per_second: float | None) -> float | None:
    if job.total is None or not points_per_second:
        return None
    return max(0, job.total - job.scanned) / points_per_second
