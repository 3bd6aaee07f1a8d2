"""How far the two stores agree, over the last comparisons of each collection."""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt

from service.stages import Side
from shadow.compare import COMPARED, Comparison, Outcome

WINDOW = 1_000
MOST_COLLECTIONS = 10_000

_Z = 1.645
"""One-sided 95 % of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles in seconds, nearest rank."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Parity:
    """The agreement of a collection's stores over the last ``samples`` compared searches.

    ``overlap`` is the mean top-k overlap and ``lower_bound`` its 95 % lower bound; ``identical`` is
    the share of answers with the same ids in the same order and equal scores. ``outcomes`` counts
    every read since the start, also those that could not be compared.
    """

    samples: int
    overlap: float | None
    lower_bound: float | None
    identical: float | None
    outcomes: dict[Outcome, int]
    latency: dict[Side, Latency]

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values, times in milliseconds."""
        return {
            "samples": self.samples,
            "overlap": self.overlap,
            "lower_bound": self.lower_bound,
            "identical": self.identical,
            "outcomes": {str(outcome): count for outcome, count in self.outcomes.items()},
            "latency_ms": {
                str(side): {"p50": 1e3 * latency.p50, "p99": 1e3 * latency.p99}
                for side, latency in self.latency.items()
            },
        }


@dataclass(slots=True)
class _Window:
    overlaps: deque[float]
    identical: deque[bool]
    seconds: dict[Side, deque[float]]
    outcomes: Counter[Outcome] = field(default_factory=Counter)


class ParityBook:
    """Keeps a window of comparisons per collection, for a bounded number of collections."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._books: OrderedDict[str, _Window] = OrderedDict()

    def add(self, collection: str, comparison: Comparison, seconds: dict[Side, float]) -> None:
        """Record a comparison, and the times of both stores."""
        book = self._book(collection)
        book.outcomes[comparison.outcome] += 1
        if comparison.outcome in COMPARED:
            book.overlaps.append(comparison.overlap)
            book.identical.append(comparison.outcome is Outcome.IDENTICAL)
            for side, duration in seconds.items():
                book.seconds[side].append(duration)

    def count(self, collection: str, outcome: Outcome) -> None:
        """Record a read that was not compared."""
        self._book(collection).outcomes[outcome] += 1

    def forget(self, collection: str) -> None:
        """Start anew, because the stores' contents or indexes are other ones now."""
        self._books.pop(collection, None)

    def parity(self, collection: str) -> Parity:
        """Return the figures of a collection; means are ``None`` without samples."""
        book = self._books.get(collection) or self._new()
        overlap = _mean(book.overlaps)
        return Parity(
            samples=len(book.overlaps),
            overlap=overlap,
            lower_bound=None if overlap is None else lower_bound(overlap, len(book.overlaps)),
            identical=_mean(book.identical),
            outcomes={outcome: book.outcomes[outcome] for outcome in Outcome},
            latency={side: _latency(seconds) for side, seconds in book.seconds.items() if seconds},
        )

    def _book(self, collection: str) -> _Window:
        book = self._books.pop(collection, None) or self._new()
        self._books[collection] = book
        if len(self._books) > MOST_COLLECTIONS:
            self._books.popitem(last=False)
        return book

    def _new(self) -> _Window:
        size = self._window
        seconds: dict[Side, deque[float]] = {side: deque(maxlen=size) for side in Side}
        return _Window(deque(maxlen=size), deque(maxlen=size), seconds)


def lower_bound(mean: float, samples: int) -> float:
    """Return the one-sided 95 % lower bound of a mean of values in 0 … 1 (Wilson's score interval).

    Among such values with a given mean those that are only 0 or 1 vary most, so that treating the
    mean as a proportion errs on the safe side, also when all samples were alike.
    """
    z2 = _Z * _Z / samples
    centre = mean + z2 / 2
    spread = sqrt(z2 * mean * (1 - mean) + z2 * z2 / 4)
    return max(0.0, (centre - spread) / (1 + z2))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _latency(seconds: Sequence[float]) -> Latency:
    ranked = sorted(seconds)

    def percentile(share: float) -> float:
        return ranked[ceil(share * len(ranked)) - 1]

    return Latency(percentile(0.5), percentile(0.99))
