"""Continuous verification on a whole instance: what is written around the proxy is found, ordinary traffic never is."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from service.model.operations import ByIds, Delete, Upsert
from service.model.points import Point
from service.stages import Stage
from service.stores.postgres.store import PgStore
from tests.service.operated import Operated, body_of, operated
from tests.service.running import running

_TRAFFIC_SECONDS = 4.0


async def traffic(site: Operated, first: int) -> None:
    """Write, change and delete points all the time."""
    at = 0
    while True:
        at += 1
        point_id = first + at % 11
        await site.write(body_of(point_id, life=at))
        change = {"payload": {"more": at}, "points": [point_id]}
        await site.here.client.post(f"{site.path}/points/payload", json=change)
        if not at % 3:
            await site.here.client.post(f"{site.path}/points/delete", json={"points": [point_id]})


async def found_by(site: Operated, wanted: int) -> dict[int, Any]:
    """Return what was found to differ, when there are so many."""
    async with asyncio.timeout(20):
        while True:
            continuous = (await site.ask("GET", "/status"))["upkeep"]["continuous"]
            if continuous["differing"] == wanted:
                return {each["id"]: each for each in continuous["last"]}
            await asyncio.sleep(0.2)


async def test_writes_around_the_proxy_are_found_and_traffic_is_not(
    database_url: str, qdrant_url: str, tmp_path: Path, collection_name: str
) -> None:
    """In both stores, with the store named where that is known; what is made equal is forgotten."""
    async with operated(
        database_url, qdrant_url, tmp_path, collection_name,
        verify_points_per_second=500, grace_seconds=0.5,
    ) as site:  # fmt: skip
        await site.around(*(body_of(number) for number in range(1, 21)), body_of(7, text="\x00"))
        await site.moved(Stage.DUALWRITE)
        await site.done("backfill")
        await site.moved(Stage.SHADOW)
        async with running(traffic(site, 1), traffic(site, 101)):
            await asyncio.sleep(_TRAFFIC_SECONDS)
        continuous = (await site.ask("GET", "/status"))["upkeep"]["continuous"]
        assert continuous["looked_at"] > 100
        assert (continuous["differing"], continuous["waits_for"]) == (0, None)

        await site.settled()
        await asyncio.sleep(2.5)  # the present values are looked at
        store = PgStore(site.database)
        stranger = Point(15, {"": np.ones(2, np.float32)}, {"by": "around"})
        await store.apply(site.name, Upsert([stranger]), wait=True)
        await store.apply(site.name, Delete(ByIds((16,))), wait=True)
        await site.around(body_of(17, by="around"), body_of(900), gone=18)
        found = await found_by(site, 5)
        assert {each: found[each]["kinds"] for each in found} == {
            15: ["payload", "vector"],
            16: ["missing"],
            17: ["payload"],
            18: ["extra"],
            900: ["missing"],
        }
        assert {each: found[each]["probably_changed"] for each in found} == {
            15: "target", 16: "target", 17: "source", 18: "source", 900: None,
        }  # fmt: skip
        metrics = (await site.here.client.get("/metrics")).text
        assert 'vecferry_bypass_suspected_total{store="target"} 2.0' in metrics
        assert 'vecferry_bypass_suspected_total{store="source"} 2.0' in metrics
        assert 'vecferry_bypass_suspected_total{store="unknown"} 1.0' in metrics

        await site.done("verify")
        await site.ask("POST", f"{site.path}/repair", {"apply": True})
        assert await found_by(site, 0) == {}


async def test_a_collection_that_allows_few_points_per_request_is_looked_at(
    database_url: str, qdrant_url: str, tmp_path: Path, collection_name: str
) -> None:
    """The samples of Qdrant are as small as its strict mode wants them: what only Qdrant has is found."""
    async with operated(
        database_url, qdrant_url, tmp_path, collection_name, strict={"max_query_limit": 5},
        verify_points_per_second=500, grace_seconds=0.5,
    ) as site:  # fmt: skip
        await site.around(*(body_of(number) for number in range(1, 21)))
        await site.moved(Stage.DUALWRITE)
        await site.done("backfill")
        await site.moved(Stage.SHADOW)
        await site.around(body_of(900))
        assert (await found_by(site, 1))[900]["kinds"] == ["missing"]
