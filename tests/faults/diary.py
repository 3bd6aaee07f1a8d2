"""What the clients of one history did and saw."""

import json
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_KEPT_LINES = 20_000


@dataclass(slots=True)
class Diary:
    """Counts, latencies and the last requests of every client, for the report and for the search after a failure."""

    began: float = field(default_factory=time.monotonic)
    writes: int = 0
    errors: int = 0
    stale: list[str] = field(default_factory=list)
    first_error: str = ""
    _latencies: list[tuple[float, float]] = field(default_factory=list)
    _lines: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    @property
    def now(self) -> float:
        """Seconds since the history began."""
        return time.monotonic() - self.began

    def wrote(self, seconds: float) -> None:
        """Note an answered or failed write."""
        self.writes += 1
        self._latencies.append((self.now, seconds))

    def failed(self, what: str) -> None:
        """Note an error that a client saw."""
        self.errors += 1
        self.first_error = self.first_error or f"{self.now:.1f} s: {what}"

    def note(self, **fields: object) -> None:
        """Keep one line."""
        self._lines.append({"at": round(self.now, 3), **fields})

    def percentile(self, percent: float, since: float, until: float) -> float:
        """Return a percentile of the writes' latency in seconds; of those that ended in that time."""
        found = [seconds for at, seconds in self._latencies if since <= at <= until]
        return float(np.percentile(found, percent)) if found else float("nan")

    def save(self, path: Path) -> None:
        """Write the lines as JSON lines."""
        with path.open("w") as out:
            for line in self._lines:
                out.write(json.dumps(line, default=str) + "\n")
