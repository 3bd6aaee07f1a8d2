"""How busy the target's server is, read in one statement that works with any role and through a pooler."""

from collections.abc import Mapping
from typing import Any

import structlog

from backfill.pressure import PressureGauge, ServerReading
from service.errors import ConfigurationError, StoreError, TargetUnavailable
from service.stores.postgres.database import Database

_log = structlog.get_logger(__name__)

_LIVE_SECONDS = 10.0
"""What an instance said of its clients counts for so long."""

# What belongs to us, and what everybody may read on every Postgres. numbackends counts the connections of all roles,
# of which pg_stat_activity may hide some.
_OWN = """
    SELECT extract(epoch FROM clock_timestamp())::float8 AS at,
        (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database)::float8
            / current_setting('max_connections')::float8 AS connections,
        (SELECT max(client_p99_ms) FROM vecferry.instances
            WHERE heartbeat_at > now() - make_interval(secs => $1))::float8 AS client_p99_ms,
        (SELECT count(*) FROM (SELECT FROM vecferry.intents WHERE NOT dead LIMIT $2) AS waiting)
            AS unsettled
"""
# A role without pg_read_all_stats sees that there are standbys, and nothing of them. A receiver that only keeps the log
# replays nothing: what it has written counts.
_ALL = f"""
    WITH log AS (
        SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_current_wal_lsn() END AS lsn
    ), standbys AS (
        SELECT max(extract(epoch FROM s.replay_lag))::float8 AS lag_seconds,
            max(log.lsn - coalesce(s.replay_lsn, s.flush_lsn))::float8 AS lag_bytes,
            count(*) FILTER (WHERE s.state IS NULL) AS hidden
        FROM pg_catalog.pg_stat_replication AS s, log
        WHERE s.state IS NULL OR s.state IN ('streaming', 'catchup')
    ), archived AS (
        SELECT CASE WHEN last_archived_wal ~ '^[0-9A-F]{{24}}' THEN substr(last_archived_wal, 9, 16)
            END AS segment
        FROM pg_catalog.pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'
    ), size AS (
        SELECT pg_catalog.pg_size_bytes(current_setting('wal_segment_size')) AS bytes
    )
    SELECT own.*, standbys.*, (log.lsn - '0/0')::float8 AS wal_bytes, (
        SELECT CASE WHEN segment IS NOT NULL THEN greatest(0, div(log.lsn - '0/0', size.bytes) - 1
            - ('x' || substr(segment, 1, 8))::bit(32)::bigint * (4294967296 / size.bytes)
            - ('x' || substr(segment, 9, 8))::bit(32)::bigint)::bigint END
        FROM archived
    ) AS unarchived_segments
    FROM ({_OWN}) AS own, standbys, log, size
"""


class ServerPressure:
    """``PressureGauge`` on the target's database."""

    def __init__(self, database: Database, *, most_unsettled: int) -> None:
        """Intents beyond ``most_unsettled`` are not counted any more."""
        self._database = database
        self._most_unsettled = most_unsettled
        self._is_own_only = False

    async def read(self) -> ServerReading:
        """Look once; a server that refuses to speak of itself is asked for our own tables only from then on."""
        if not self._is_own_only:
            try:
                return _reading(await self._row(_ALL))
            except TargetUnavailable:
                raise
            except (StoreError, ConfigurationError) as error:
                _log.warning("server_statistics_refused", error=str(error))
                self._is_own_only = True
        return _reading(await self._row(_OWN))

    async def _row(self, statement: str) -> Mapping[str, Any]:
        async with self._database.connection() as connection:
            found: Mapping[str, Any] = await connection.fetchrow(
                statement, _LIVE_SECONDS, self._most_unsettled
            )
        return found


def _reading(row: Mapping[str, Any]) -> ServerReading:
    """Return the reading of a row, which lacks the server's own columns when it refused them."""
    if "wal_bytes" not in row.keys():  # noqa: SIM118 - the driver's rows look through their values
        unreadable: tuple[str, ...] = ("replication lag", "WAL", "WAL archive")
    else:
        unreadable = ("replication lag",) if row["hidden"] else ()
    return ServerReading(
        at=row["at"],
        connections=row["connections"],
        client_p99_ms=row["client_p99_ms"],
        unsettled=row["unsettled"],
        lag_seconds=row.get("lag_seconds"),
        lag_bytes=row.get("lag_bytes"),
        wal_bytes=row.get("wal_bytes"),
        unarchived_segments=row.get("unarchived_segments"),
        unreadable=unreadable,
    )


def _proves_port(pressure: ServerPressure) -> PressureGauge:
    return pressure
