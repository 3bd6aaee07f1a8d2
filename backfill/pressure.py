"""What a throttle looks at, and how near each of it is to its limit. Pure.

A *ratio* is a reading over its limit: above 1 the jobs go slower, at 2 they stop.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

STALE_SECONDS = 5.0
"""Readings of the database that are older say nothing any more."""
PROBE_SECONDS = 10.0
"""After so long without a page, the latency of pages says nothing any more: the next page finds out."""
HOLD_RATIO = 0.9
"""Of what is not known: neither a reason to slow down nor one to go faster."""

_MEGABYTE = 1e6


class Reason(StrEnum):
    """Why jobs go slower than they could."""

    TARGET = "target_latency"
    SOURCE = "source_latency"
    LAG_SECONDS = "replication_lag_seconds"
    LAG_BYTES = "replication_lag_bytes"
    WAL = "wal_rate"
    ARCHIVE = "wal_archive"
    CONNECTIONS = "connections"
    CLIENTS = "client_latency"
    LEDGER = "ledger"
    UNKNOWN = "readings_unknown"
    LIMIT = "points_per_second"


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on jobs go slower; 0 is no limit."""

    target_ms: float = 0.0
    """Of what writing a page to the target takes, its commit included."""
    source_ms: float = 0.0
    """Of what reading a page from the source takes."""
    client_p99_ms: float = 0.0
    """Of what the instances' clients wait at the 99th percentile; the slowest instance counts."""
    lag_seconds: float = 0.0
    lag_mb: float = 0.0
    wal_mb_per_second: float = 0.0
    """Of all that writes on the server, not of the jobs alone."""
    archive_segments: int = 0
    connections: float = 0.0
    """Share of ``max_connections``."""
    unsettled: int = 0
    """Intents that wait in the ledger, dead letters left out."""


@dataclass(frozen=True, slots=True)
class ServerReading:
    """One look at the target's server. ``None`` is what there is not, or what we may not read."""

    at: float
    """The server's clock, in seconds; only differences mean something."""
    lag_seconds: float | None = None
    """Of the standby that replays latest."""
    lag_bytes: float | None = None
    wal_bytes: float | None = None
    """How much the server has ever written to its log."""
    unarchived_segments: int | None = None
    connections: float | None = None
    """Share of ``max_connections`` in use."""
    client_p99_ms: float | None = None
    """The highest of the live instances."""
    unsettled: int = 0
    unreadable: tuple[str, ...] = ()
    """What our role may not read."""


class PressureGauge(Protocol):
    """Reads the target's server."""

    async def read(self) -> ServerReading:
        """Look once. Raises ``TargetUnavailable``."""
        ...


@dataclass(frozen=True, slots=True)
class Latency:
    """What pages took lately, and how long ago the last one ended."""

    seconds: float
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Readings:
    """All that is known at one moment; ages are of this process's monotonic clock."""

    target: Latency | None = None
    source: Latency | None = None
    server: ServerReading | None = None
    server_age_seconds: float = math.inf
    wal_bytes_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Pressure:
    """How near one reading is to its limit; ``text`` is for people."""

    reason: Reason
    ratio: float
    text: str


def pressures(readings: Readings, limits: Limits) -> list[Pressure]:
    """Return every reading that has a limit, the worst first."""
    found = [*_of_pages(readings, limits), *_of_server(readings, limits)]
    return sorted(found, key=lambda each: -each.ratio)


def _of_pages(readings: Readings, limits: Limits) -> Iterator[Pressure]:
    for reason, name, latency, limit in (
        (Reason.TARGET, "target latency", readings.target, limits.target_ms),
        (Reason.SOURCE, "source latency", readings.source, limits.source_ms),
    ):
        if latency is None or not limit:
            continue
        found = _pressure(reason, name, latency.seconds * 1000, limit, "ms")
        if latency.age_seconds > PROBE_SECONDS:
            found = Pressure(reason, min(found.ratio, HOLD_RATIO), found.text)
        yield found


def _of_server(readings: Readings, limits: Limits) -> Iterator[Pressure]:
    server = readings.server
    if server is None or readings.server_age_seconds > STALE_SECONDS:
        if limits != Limits(target_ms=limits.target_ms, source_ms=limits.source_ms):
            yield Pressure(Reason.UNKNOWN, HOLD_RATIO, _unknown(readings.server_age_seconds))
        return
    megabytes = None if server.lag_bytes is None else server.lag_bytes / _MEGABYTE
    rate = readings.wal_bytes_per_second
    rows = (
        (Reason.LAG_SECONDS, "replication lag", server.lag_seconds, limits.lag_seconds, "s"),
        (Reason.LAG_BYTES, "replication lag", megabytes, limits.lag_mb, "MB"),
        (
            Reason.WAL,
            "WAL",
            None if rate is None else rate / _MEGABYTE,
            limits.wal_mb_per_second,
            "MB/s",
        ),
        (
            Reason.ARCHIVE,
            "WAL archive behind",
            server.unarchived_segments,
            limits.archive_segments,
            "segments",
        ),
        (
            Reason.CONNECTIONS,
            "connections in use",
            None if server.connections is None else server.connections * 100,
            limits.connections * 100,
            "%",
        ),
        (Reason.CLIENTS, "clients' p99", server.client_p99_ms, limits.client_p99_ms, "ms"),
        (Reason.LEDGER, "ledger", server.unsettled, limits.unsettled, "unsettled intents"),
    )
    for reason, name, value, limit, unit in rows:
        if value is not None and limit:
            yield _pressure(reason, name, value, limit, unit)


def _pressure(reason: Reason, name: str, value: float, limit: float, unit: str) -> Pressure:
    sign = ">" if value > limit else "≤"
    return Pressure(
        reason, value / limit, f"{name} {_short(value)} {unit} {sign} {_short(limit)} {unit}"
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"  # noqa: PLR2004 - digits


def _unknown(age: float) -> str:
    since = "cannot be read" if math.isinf(age) else f"are {age:.0f} s old"
    return f"the target's readings {since}: going slowly"
