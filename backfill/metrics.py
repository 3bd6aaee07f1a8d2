"""The backfill's and the verification's Prometheus metrics."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from backfill.canonical import Kind
from backfill.jobs import Job, JobState
from backfill.pressure import Reason
from backfill.progress import Pace
from service.stages import Side

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


class JobGauges:
    """How far the jobs are that are open or ended lately, by kind and collection; every instance shows all of them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(name, text, ("kind", "collection", *more), registry=registry)

        self.scanned = gauge("vecferry_job_points_scanned", "Points that the job has read.")
        self.written = gauge(
            "vecferry_job_points_written",
            "Of these, how many were new in the target (backfill) or differed at first sight (verify).",
        )
        self.total = gauge(
            "vecferry_job_points", "Points that the source counted when the job began."
        )
        self.rate = gauge(
            "vecferry_job_points_per_second", "Points read per second over the last ten seconds."
        )
        self.seconds_left = gauge(
            "vecferry_job_seconds_left",
            "How long the job still takes at that rate, where it is known.",
        )
        self.ranges = gauge("vecferry_job_ranges", "Ranges of ids that the job was split into.")
        self.ranges_done = gauge("vecferry_job_ranges_done", "Ranges that are done.")
        self.workers = gauge("vecferry_job_workers", "Ranges that a worker holds.")
        self.waiting = gauge(
            "vecferry_job_waiting", "1 while the job, or its slowest worker, waits for something."
        )
        self.state = gauge("vecferry_job_state", "1 for the state that the job is in.", "state")

    def show(self, jobs: Iterable[tuple[Job, Pace]]) -> None:
        """Replace what is shown by these jobs."""
        for each in vars(self).values():
            each.clear()
        for job, pace in jobs:
            self._show(job, pace)

    def _show(self, job: Job, pace: Pace) -> None:
        labels = (str(job.kind), job.collection)
        self.scanned.labels(*labels).set(job.scanned)
        self.written.labels(*labels).set(job.written)
        if job.total is not None:
            self.total.labels(*labels).set(job.total)
        self.rate.labels(*labels).set(pace.points_per_second or 0)
        if pace.seconds_left is not None:
            self.seconds_left.labels(*labels).set(pace.seconds_left)
        self.ranges.labels(*labels).set(job.ranges)
        self.ranges_done.labels(*labels).set(job.ranges_done)
        self.workers.labels(*labels).set(job.workers)
        self.waiting.labels(*labels).set(job.state.is_open and job.note is not None)
        for state in JobState:
            self.state.labels(*labels, str(state)).set(job.state is state)


class ThrottleMetrics:
    """Why and how long the jobs of this process wait."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Counter(
            "vecferry_throttle_seconds",
            "Time that ranges waited after a page, by the main reason; of several ranges at once it adds up.",
            ("reason",),
            registry=registry,
        )
        self.reason = Gauge(
            "vecferry_throttle_reason",
            "1 for every reason that holds a range of this process up now.",
            ("reason",),
            registry=registry,
        )
        self.share = Gauge(
            "vecferry_throttle_share",
            "Share of the time in which ranges of this process work; 0 while they are stopped.",
            registry=registry,
        )
        for reason in Reason:
            self.seconds.labels(reason)


class ContinuousMetrics:
    """What continuous verification, and exact counts, have found on this instance."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.looked = Counter(
            "vecferry_continuous_points", "Random points that were compared.", registry=registry
        )
        self.differences = Counter(
            "vecferry_continuous_differences",
            "Confirmed differences that nothing unsettled and no quarantine explains, by kind.",
            ("kind",),
            registry=registry,
        )
        self.differing = Gauge(
            "vecferry_continuous_differing_points",
            "Points that were confirmed to differ and were not found equal since.",
            registry=registry,
        )
        self.dropped = Counter(
            "vecferry_continuous_dropped",
            "Points that differed at first sight and were not looked at again: too many wait.",
            registry=registry,
        )
        self.counts = Counter(
            "vecferry_continuous_counts",
            "Exact counts of both stores, by how they compared; not_quiet: writes came in between.",
            ("outcome",),
            registry=registry,
        )
        self.miscounted = Gauge(
            "vecferry_continuous_miscounted_collections",
            "Collections whose exact counts did not agree when they were last counted without writes.",
            registry=registry,
        )
        self._bypass = Counter(
            "vecferry_bypass_suspected",
            "Signs of writes around the proxy, by the store that was probably changed.",
            ("store",),
            registry=registry,
        )
        for kind in Kind:
            self.differences.labels(kind)
        for store in (*Side, None):
            self._bypass.labels(store or "unknown")
        for outcome in ("equal", "mismatch", "not_quiet"):
            self.counts.labels(outcome)

    def suspected(self, store: Side | None) -> None:
        """Count a sign of a write around the proxy."""
        self._bypass.labels(store or "unknown").inc()


class QuarantineState(StrEnum):
    """What a point of the quarantine does to the flip."""

    BLOCKING = "blocking"
    WAIVED = "waived"


class QuarantineMetrics:
    """The points that the target cannot hold, as they were when this was read."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._points = Gauge(
            "vecferry_quarantine_points",
            "Points that the target cannot hold: waived by name, or blocking the flip.",
            ("state",),
            registry=registry,
        )
        self.show({})

    def show(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Set the figures to what was just read: by collection, how many block and how many are waived."""
        self._points.labels(QuarantineState.BLOCKING).set(
            sum(blocking for blocking, _ in counts.values())
        )
        self._points.labels(QuarantineState.WAIVED).set(
            sum(waived for _, waived in counts.values())
        )
