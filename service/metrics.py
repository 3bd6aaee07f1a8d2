"""The proxy's own metrics, on an injected registry. Label values come from enums or small fixed sets."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.stages import Side, Stage

_LATENCY_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ProxyMetrics:
    """Counters of the request path, the ledger and the stages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "vecferry_requests_total",
            "Requests by kind, the store that answered and the status class.",
            ("kind", "answered_by", "status"),
            registry=registry,
        )
        self.request_seconds = Histogram(
            "vecferry_request_seconds",
            "Time from the request's head to the last byte of its answer.",
            ("kind", "answered_by"),
            buckets=_LATENCY_SECONDS,
            registry=registry,
        )
        self.held_writes = Gauge(
            "vecferry_held_writes", "Writes that wait for a stage change.", registry=registry
        )
        self.refused_writes = Counter(
            "vecferry_refused_writes_total",
            "Writes refused with 503 while a stage change was under way, by reason.",
            ("reason",),
            registry=registry,
        )
        self.intents = Counter(
            "vecferry_intents_total",
            "Intents committed, by the store that may be behind.",
            ("behind",),
            registry=registry,
        )
        self.intent_batch = Histogram(
            "vecferry_intent_batch_size",
            "Intents that shared one commit.",
            buckets=_BATCH_SIZES,
            registry=registry,
        )
        self.stale_epochs = Counter(
            "vecferry_stale_epoch_total",
            "Writes refused by the epoch check before they reached a store.",
            registry=registry,
        )
        self.unknown_outcomes = Counter(
            "vecferry_unknown_outcomes_total",
            "Writes to the source whose end is not known (time-out, lost connection, 5xx).",
            registry=registry,
        )
        self.resyncs = Counter(
            "vecferry_resyncs_total",
            "Resyncs by the store brought up to date and the outcome.",
            ("behind", "outcome"),
            registry=registry,
        )
        self.resync_points = Counter(
            "vecferry_resync_points_total",
            "Ids that resyncs copied, by the store brought up to date.",
            ("behind",),
            registry=registry,
        )
        self.ledger = Gauge(
            "vecferry_ledger_size",
            "Intents that are not settled, by the store that may be behind.",
            ("behind",),
            registry=registry,
        )
        self.ledger_oldest_seconds = Gauge(
            "vecferry_ledger_oldest_seconds",
            "Age of the oldest unsettled intent.",
            registry=registry,
        )
        self.collections = Gauge(
            "vecferry_collections", "Collections by stage.", ("stage",), registry=registry
        )
        self.control_errors = Counter(
            "vecferry_control_refresh_errors_total",
            "Failed reads of the control state; the last known state stays in force.",
            registry=registry,
        )
        for reason in ("queue_full", "deadline"):
            self.refused_writes.labels(reason)
        for side in Side:
            self.intents.labels(side)
            self.ledger.labels(side)
        for stage in Stage:
            self.collections.labels(stage)
