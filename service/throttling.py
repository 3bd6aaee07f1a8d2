"""Makes the throttle of a process that works on jobs, from its settings."""

from backfill.metrics import ThrottleMetrics
from backfill.pressure import Limits
from backfill.throttle import Throttle
from service.config import Settings
from service.stores.postgres.database import Database
from service.stores.postgres.pressure import ServerPressure


def throttle_of(settings: Settings, database: Database, metrics: ThrottleMetrics) -> Throttle:
    """Return a throttle that reads the target's server over ``database``; nothing has to run beside it."""
    limits = limits_of(settings)
    # What is counted has to show twice the limit.
    gauge = ServerPressure(database, most_unsettled=2 * limits.unsettled)
    return Throttle(gauge, limits, metrics)


def limits_of(settings: Settings) -> Limits:
    """Return from where on jobs go slower."""
    return Limits(
        target_ms=settings.throttle_target_ms,
        source_ms=settings.throttle_source_ms,
        client_p99_ms=settings.throttle_client_p99_ms,
        lag_seconds=settings.throttle_lag_seconds,
        lag_mb=settings.throttle_lag_mb,
        wal_mb_per_second=settings.throttle_wal_mb_per_second,
        archive_segments=settings.throttle_archive_segments,
        connections=settings.throttle_connections,
        unsettled=settings.throttle_unsettled,
    )
