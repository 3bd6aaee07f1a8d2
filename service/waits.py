"""What clients waited lately, as a percentile that is cheap to keep: two histograms that take turns."""

import math

WINDOW_SECONDS = 5.0
"""A percentile is of the present window and the one before it: the last five to ten seconds."""
LEAST_REQUESTS = 20
"""Of fewer, the 99th percentile is the slowest one: no sign of anything."""

_PER_OCTAVE = 8
"""Bounds are a factor of 1.09 apart."""
_LEAST_OCTAVE = -14  # 61 µs
_OCTAVES = 21  # up to 128 s
_BUCKETS = _OCTAVES * _PER_OCTAVE
_SHIFT = -_LEAST_OCTAVE * _PER_OCTAVE
_P99 = 0.99


class RecentWaits:
    """Counts requests by how long they took. Moments are of ``time.perf_counter``."""

    def __init__(self) -> None:
        self._now = [0] * _BUCKETS
        self._before = [0] * _BUCKETS
        self._until = -math.inf

    def saw(self, seconds: float, *, at: float) -> None:
        """Count a request that ended now."""
        if at >= self._until:
            self._turn(at)
        bucket = int(math.log2(seconds) * _PER_OCTAVE + _SHIFT) if seconds > 0 else 0
        self._now[min(max(bucket, 0), _BUCKETS - 1)] += 1

    def p99_ms(self, *, at: float) -> float | None:
        """Return the upper bound of the 99th percentile in milliseconds; ``None`` of too few requests."""
        if at >= self._until:
            self._turn(at)
        total = sum(self._now) + sum(self._before)
        if total < LEAST_REQUESTS:
            return None
        rank, seen = math.ceil(total * _P99), 0
        for bucket, counts in enumerate(zip(self._now, self._before, strict=True)):
            seen += sum(counts)
            if seen >= rank:
                return float(2 ** ((bucket + 1 - _SHIFT) / _PER_OCTAVE) * 1000)
        return None

    def _turn(self, at: float) -> None:
        """Begin a new window; after a silence nothing is left of the old ones."""
        is_next = at < self._until + WINDOW_SECONDS
        self._before = self._now if is_next else [0] * _BUCKETS
        self._now = [0] * _BUCKETS
        self._until = at + WINDOW_SECONDS
