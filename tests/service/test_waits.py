"""The percentile of what clients waited lately."""

import asyncio
import random
from pathlib import Path

import pytest

from service.config import load
from service.stores.postgres.database import Database
from service.waits import LEAST_REQUESTS, WINDOW_SECONDS, RecentWaits
from tests.service.wired import wired


def test_few_requests_say_nothing() -> None:
    """The slowest of three is not a percentile."""
    waits = RecentWaits()
    for _ in range(LEAST_REQUESTS - 1):
        waits.saw(1.0, at=0.0)
    assert waits.p99_ms(at=0.0) is None
    waits.saw(1.0, at=0.0)
    assert waits.p99_ms(at=0.0) == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("seconds", [1e-9, 0.0001, 0.0042, 0.77, 31.0])
def test_the_bound_is_near_and_above(seconds: float) -> None:
    """Within a bucket, which is 9 % wide; below 61 µs all are one."""
    waits = RecentWaits()
    for _ in range(100):
        waits.saw(seconds, at=0.0)
    found = waits.p99_ms(at=0.0)
    assert found is not None
    assert max(seconds, 5e-5) * 1000 <= found <= max(seconds, 7e-5) * 1000 * 1.1


def test_it_is_the_99th_of_all() -> None:
    """One in a hundred may be slower."""
    draw = random.Random(5)
    waits = RecentWaits()
    values = [draw.lognormvariate(-5, 1) for _ in range(5000)]
    for value in values:
        waits.saw(value, at=0.0)
    exact = sorted(values)[4949] * 1000
    found = waits.p99_ms(at=0.0)
    assert found is not None
    assert exact <= found <= exact * 1.1


def test_what_was_long_ago_is_forgotten() -> None:
    """After two windows, whether there are new requests or none."""
    waits = RecentWaits()
    for _ in range(100):
        waits.saw(2.0, at=0.0)
    assert waits.p99_ms(at=WINDOW_SECONDS) == pytest.approx(2000, rel=0.1)
    for _ in range(100):
        waits.saw(0.01, at=2 * WINDOW_SECONDS + 1)
    assert waits.p99_ms(at=2 * WINDOW_SECONDS + 1) == pytest.approx(10, rel=0.1)
    assert waits.p99_ms(at=99.0) is None


async def test_an_instance_says_it_with_its_heartbeat(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Requests through the proxy show in the instance's row; its own health checks do not."""
    query = "SELECT client_p99_ms FROM vecferry.instances"
    settings = load(database_url=database_url, data_dir=tmp_path, qdrant_url="http://127.0.0.1:9")
    async with wired(settings) as here, asyncio.timeout(20), database.connection() as connection:
        for _ in range(LEAST_REQUESTS):
            await here.client.get("/livez")
        await asyncio.sleep(1.2)
        assert await connection.fetchval(query) is None
        for _ in range(LEAST_REQUESTS):
            await here.client.get("/collections/c/points/1")
        while (found := await connection.fetchval(query)) is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert 0 < found < 20_000
