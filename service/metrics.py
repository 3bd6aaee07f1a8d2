"""The proxy's own metrics, on an injected registry. Label values come from enums or small fixed sets."""

from collections.abc import Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.errors import Refusal
from service.protocol.book import LineState, Tally
from service.protocol.breaker import Circuit
from service.stages import Side, Stage
from service.waits import RecentWaits

_LATENCY_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_IN_POSTGRES: tuple[LineState, ...] = tuple(
    state for state in LineState if state is not LineState.HINT
)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ProxyMetrics:
    """Counters of the request path, the ledger and the stages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.waits = RecentWaits()
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
        self.refused_requests = Counter(
            "vecferry_refused_requests_total",
            "Requests that we answered 503, to be sent again, by reason.",
            ("reason",),
            registry=registry,
        )
        self.requests_in_flight = Gauge(
            "vecferry_requests_in_flight",
            "Requests that are being answered, writes held by a stage change left out.",
            registry=registry,
        )
        self.body_bytes = Gauge(
            "vecferry_held_body_bytes",
            "Bytes of request bodies that are held in memory.",
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
        self.refused_intents = Counter(
            "vecferry_refused_intents_total",
            "Times that a store refused ids of an intent, by the store that refused.",
            ("behind",),
            registry=registry,
        )
        self.rereads = Counter(
            "vecferry_rereads_total",
            "Later looks at the ids of requests whose end was not seen, by how they ended.",
            ("outcome",),
            registry=registry,
        )
        self.whole_changes = Counter(
            "vecferry_collection_changes_total",
            "Attempts to settle changes of whole collections, by the store that lacked them and the outcome.",
            ("behind", "outcome"),
            registry=registry,
        )
        self.ledger = Gauge(
            "vecferry_ledger_size",
            "Intents that are not settled, by the store that may be behind and how far they are; hints left out.",
            ("behind", "state"),
            registry=registry,
        )
        self.ledger_oldest_seconds = Gauge(
            "vecferry_ledger_oldest_seconds",
            "Age of the oldest unsettled intent, by how far it is.",
            ("state",),
            registry=registry,
        )
        self.ledger_is_current = Gauge(
            "vecferry_ledger_is_current",
            "1 when the ledger was read for this scrape, 0 when its figures are those of an earlier one.",
            registry=registry,
        )
        self.intent_circuit = Gauge(
            "vecferry_intent_circuit",
            "1 for the state of the circuit breaker that decides whether intents are offered to Postgres.",
            ("state",),
            registry=registry,
        )
        self.hints = Gauge(
            "vecferry_hints",
            "Hints of all instances in the source when this one last looked.",
            registry=registry,
        )
        self.hints_written = Counter(
            "vecferry_hints_written_total",
            "Intents that became hints in the source, because Postgres did not take them in time.",
            registry=registry,
        )
        self.hints_moved = Counter(
            "vecferry_hints_moved_total",
            "Hints that were moved to the ledger.",
            registry=registry,
        )
        self.index_builds = Counter(
            "vecferry_index_builds_total",
            "HNSW indexes that were built; `spilled` says that the memory was too small, and that it took longer.",
            ("spilled",),
            registry=registry,
        )
        self.index_build_seconds = Counter(
            "vecferry_index_build_seconds_total",
            "Time spent on building HNSW indexes.",
            registry=registry,
        )
        self.collections = Gauge(
            "vecferry_collections", "Collections by stage.", ("stage",), registry=registry
        )
        self.detached = Gauge(
            "vecferry_detached",
            "1 while this instance decides by the source's records, without Postgres.",
            registry=registry,
        )
        self.control_errors = Counter(
            "vecferry_control_refresh_errors_total",
            "Failed reads of the control state; the last known state stays in force.",
            registry=registry,
        )
        # To find the metric of some labels costs more than to count; there are few combinations.
        self._labelled = cache(self._labels)
        for reason in Refusal:
            self.refused_requests.labels(reason)
        for side in Side:
            self.intents.labels(side)
        for stage in Stage:
            self.collections.labels(stage)
        self.show_ledger(())
        self.ledger_is_current.set(0)

    def answered(self, kind: str, answered_by: str, status: str, seconds: float) -> None:
        """Count a request and the time it took; ``status`` is the class, ``"2xx"``."""
        requests, request_seconds = self._labelled(kind, answered_by, status)
        requests.inc()
        request_seconds.observe(seconds)

    def _labels(self, kind: str, answered_by: str, status: str) -> tuple[Counter, Histogram]:
        return (
            self.requests.labels(kind, answered_by, status),
            self.request_seconds.labels(kind, answered_by),
        )

    def index_was_built(self, seconds: float, *, is_spilled: bool) -> None:
        """Count an HNSW index."""
        self.index_builds.labels("yes" if is_spilled else "no").inc()
        self.index_build_seconds.inc(seconds)

    def intent_circuit_is(self, now: Circuit) -> None:
        """Show the state of the circuit breaker before Postgres."""
        for state in Circuit:
            self.intent_circuit.labels(state).set(state is now)

    def show_ledger(self, tallies: Iterable[Tally]) -> None:
        """Set the ledger's figures to what was just read."""
        sizes: dict[tuple[Side, LineState], int] = {
            (side, state): 0 for side in Side for state in _IN_POSTGRES
        }
        oldest = dict.fromkeys(_IN_POSTGRES, 0.0)
        for tally in tallies:
            sizes[tally.behind, tally.state] += tally.intents
            oldest[tally.state] = max(oldest[tally.state], tally.oldest_seconds or 0.0)
        for (side, state), size in sizes.items():
            self.ledger.labels(side, state).set(size)
        for state, seconds in oldest.items():
            self.ledger_oldest_seconds.labels(state).set(seconds)
        self.ledger_is_current.set(1)
