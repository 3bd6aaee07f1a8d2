"""The server's own endpoints. The engine has none of them: both sides answer with our code."""

from collections.abc import Iterator

from tests.parity.asks import Ask, Row, Rule, get

_PATHS = (
    *("/aliases", "/issues", "/cluster", "/healthz", "/livez", "/readyz", "/nothing/here"),
    *("/collections/{c}/cluster", "/collections/{c}/optimizations", "/collections/{c}/shards"),
    *("/collections/{c}/snapshots", "/snapshots", "/cluster/telemetry"),
)


def rows() -> Iterator[Row]:
    """Constants, and what one node does not have."""
    for path in _PATHS:
        yield Row(path, "empty", (Ask("GET", path, rule=Rule.STATUS),), unproven=True)
    for method, path in (
        ("POST", "/cluster/recover"),
        ("DELETE", "/cluster/peer/1"),
        ("DELETE", "/issues"),
        ("POST", "/collections"),
        ("DELETE", "/"),
        ("POST", "/collections/{c}/cluster"),
        ("POST", "/collections/{c}/snapshots"),
        ("PUT", "/collections/{c}/shards"),
    ):
        yield Row(f"{method} {path}", "empty", (Ask(method, path, {}, Rule.STATUS),), unproven=True)
    yield get("empty", "issues", "/issues", unproven=True)
