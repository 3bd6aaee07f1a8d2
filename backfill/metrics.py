"""The backfill's and the verification's Prometheus metrics."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class BackfillMetrics:
    """Counts of pages and points; a collection's own progress is its job's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pages = Counter(
            "vecferry_backfill_pages", "Pages that were committed", registry=registry
        )
        self.scanned = Counter(
            "vecferry_backfill_points_scanned", "Points read from the source", registry=registry
        )
        self.copied = Counter(
            "vecferry_backfill_points_copied",
            "Points that were not in the target and were inserted",
            registry=registry,
        )
        self.page_seconds = Histogram(
            "vecferry_backfill_page_seconds",
            "Time to insert and commit one page",
            buckets=_SECONDS,
            registry=registry,
        )
        self.verified = Counter(
            "vecferry_verify_points", "Points that were compared", registry=registry
        )
        self.differences = Counter(
            "vecferry_verify_differences",
            "Confirmed differences, by kind; a point may have two kinds",
            ["kind"],
            registry=registry,
        )
        self.unsettled = Counter(
            "vecferry_verify_unsettled",
            "Points that differed and kept changing while they were looked at",
            registry=registry,
        )
