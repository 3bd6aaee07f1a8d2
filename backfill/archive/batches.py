"""How much an import writes at once, and what becomes of points that the destination refuses. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backfill.archive.reading import size_of
from service.model.points import Point

_LEAST_BYTES = 64 << 10
_MOST_BYTES = 4 << 20
"""As JSON up to three times as much; a proxy takes bodies of 32 MiB unless it is told otherwise."""
_MOST_POINTS = 2_000
_FAST_SECONDS = 0.25
_SLOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BatchSize:
    """Bytes (as vectors and printed payload) and points that a batch may have."""

    bytes: int = 512 << 10
    points: int = 500

    def after(self, seconds: float) -> "BatchSize":
        """Return the next size: larger after a fast batch, smaller after a slow one."""
        if seconds < _FAST_SECONDS:
            return self._times(1.5)
        return self._times(0.5) if seconds > _SLOW_SECONDS else self

    def after_refusal(self) -> "BatchSize":
        """Return the size after a batch that was refused as a whole: it may have been too large."""
        return self._times(0.5)

    def _times(self, factor: float) -> "BatchSize":
        return replace(
            self,
            bytes=min(_MOST_BYTES, max(_LEAST_BYTES, int(self.bytes * factor))),
            points=min(_MOST_POINTS, max(1, int(self.points * factor + 0.5))),
        )

    def take(self, points: Sequence[Point], start: int) -> Sequence[Point]:
        """Return the next batch of the points from ``start`` on: at least one while there are any."""
        end, room = start, self.bytes
        while end < len(points) and end - start < self.points:
            room -= size_of(points[end])
            if room < 0 and end > start:
                break
            end += 1
        return points[start:end]


def halves(points: Sequence[Point]) -> tuple[Sequence[Point], Sequence[Point]]:
    """Return a refused batch of two points or more in two parts."""
    middle = len(points) // 2
    return points[:middle], points[middle:]
