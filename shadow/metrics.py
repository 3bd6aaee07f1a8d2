"""The shadow reads' Prometheus metrics."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram

from service.stages import Side
from shadow.compare import COMPARED, Comparison, Outcome

MOST_COLLECTIONS = 100
OTHER_COLLECTIONS = "other"

_OVERLAPS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_DIFFERENCES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Dropped(StrEnum):
    """Why a sampled search was not compared."""

    QUEUE_FULL = "queue_full"
    NO_CANDIDATE = "no_candidate"


class ShadowMetrics:
    """Counts and distributions; collections beyond the first 100 share one label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._collections: set[str] = set()
        self._reads = Counter(
            "vecferry_shadow_reads",
            "Sampled searches that were asked of the other store too, by outcome",
            ["collection", "outcome"],
            registry=registry,
        )
        self._dropped = Counter(
            "vecferry_shadow_dropped",
            "Sampled searches that were not compared, by reason",
            ["reason"],
            registry=registry,
        )
        self._overlap = Histogram(
            "vecferry_shadow_overlap",
            "Share of the top k that both stores found, equal scores at the cut forgiven",
            buckets=_OVERLAPS,
            registry=registry,
        )
        self._difference = Histogram(
            "vecferry_shadow_score_difference",
            "Largest absolute difference of a score between the stores, per search",
            buckets=_DIFFERENCES,
            registry=registry,
        )
        self._seconds = Histogram(
            "vecferry_shadow_search_seconds",
            "Time of the sampled searches, by store",
            ["side"],
            buckets=_SECONDS,
            registry=registry,
        )
        for reason in Dropped:
            self._dropped.labels(reason)
        for side in Side:
            self._seconds.labels(side)

    def ended(self, collection: str, outcome: Outcome) -> None:
        """Count a read by how it ended."""
        self._reads.labels(self._label(collection), outcome).inc()

    def compared(self, comparison: Comparison) -> None:
        """Record how far two answers agree; only for outcomes that say something about parity."""
        if comparison.outcome in COMPARED:
            self._overlap.observe(comparison.overlap)
            self._difference.observe(comparison.max_score_difference)

    def dropped(self, reason: Dropped) -> None:
        """Count a read that was given up before it was made."""
        self._dropped.labels(reason).inc()

    def answered(self, side: Side, seconds: float) -> None:
        """Record how long a store took."""
        self._seconds.labels(side).observe(seconds)

    def _label(self, collection: str) -> str:
        if collection not in self._collections:
            if len(self._collections) >= MOST_COLLECTIONS:
                return OTHER_COLLECTIONS
            self._collections.add(collection)
        return collection
