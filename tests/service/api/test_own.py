"""Health, readiness and metrics, above all while the database is away."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from service.api import own
from service.errors import TargetUnavailable


async def _nothing() -> None:
    pass


async def _away() -> None:
    reason = "cannot be reached"
    raise TargetUnavailable(reason)


async def _slow() -> None:
    await asyncio.sleep(60)


async def _get(
    path: str,
    *,
    failing: str | None = None,
    refresh: Callable[[], Awaitable[None]] = _nothing,
) -> httpx.Response:
    async def checks() -> dict[str, str | None]:
        return {"postgres": failing, "other": None}

    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    app = own.own_app(registry, checks, refresh)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://own"
    ) as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/healthz", "/livez"])
async def test_alive_is_alive_whatever_the_database_does(path: str) -> None:
    """A process that answers must not be restarted because of something else."""
    answer = await _get(path, failing="cannot be reached")
    assert (answer.status_code, answer.text) == (200, "healthz check passed")


async def test_ready_names_what_is_not() -> None:
    """200 in Qdrant's words, or 503 with the failing parts and their reasons."""
    assert (await _get("/readyz")).text == "all shards are ready"
    failing = await _get("/readyz", failing="cannot be reached")
    assert (failing.status_code, failing.json()) == (503, {"postgres": "cannot be reached"})


async def test_gauges_are_refreshed_before_they_are_read() -> None:
    """A scrape has the state of now."""
    asked = 0

    async def refresh() -> None:
        nonlocal asked
        asked += 1

    answer = await _get("/metrics", refresh=refresh)
    assert (answer.status_code, asked) == (200, 1)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "things_total 3.0" in answer.text


@pytest.mark.parametrize("refresh", [_away, _slow])
async def test_metrics_are_there_while_the_database_is_not(
    refresh: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scrape answers in time with what the process knows, and the log says what is missing."""
    monkeypatch.setattr(own, "_REFRESH_SECONDS", 0.02)
    with capture_logs() as logs:
        answer = await _get("/metrics", refresh=refresh)
    assert (answer.status_code, "things_total 3.0" in answer.text) == (200, True)
    assert [line["event"] for line in logs] == ["gauges_not_refreshed"]


async def test_metrics_are_the_figures_and_not_when_they_began() -> None:
    """The client's library would add a series for each counter and each histogram."""
    text = (await _get("/metrics")).text
    assert "things_total 3.0" in text
    assert "_created" not in text
