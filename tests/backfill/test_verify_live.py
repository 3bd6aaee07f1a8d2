"""Verification beside a running instance whose clients write all the time."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest

from backfill.verify_steps import Patience
from service.config import load
from service.model.operations import ByIds, SetPayload, Upsert
from service.model.points import Point
from service.stages import Stage
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.hints import QdrantHints
from service.stores.qdrant.store import QdrantStore
from tests.backfill.verifying import Verifier
from tests.service.wired import wired

IDS = 120


@dataclass
class Busy:
    """A mirrored collection, the clients that write to it, and both stores behind the proxy."""

    name: str
    client: httpx.AsyncClient
    source: QdrantStore
    target: PgStore
    verifier: Verifier
    written: int = 0

    async def write(self, seed: int) -> None:
        """Insert, change and delete points for ever."""
        rng = random.Random(seed)
        path = f"/collections/{self.name}/points"
        while True:
            await self._one(rng, path, rng.sample(range(IDS), 3))
            self.written += 1

    async def _one(self, rng: random.Random, path: str, ids: list[int]) -> None:
        match rng.randrange(4):
            case 0:
                answer = await self.client.post(f"{path}/delete?wait=true", json={"points": ids})
            case 1:
                body = {"points": ids, "payload": {"n": rng.random()}}
                answer = await self.client.post(f"{path}/payload?wait=true", json=body)
            case _:
                points = [
                    {"id": i, "vector": [rng.random() for _ in range(4)], "payload": {"v": i}}
                    for i in ids
                ]
                answer = await self.client.put(f"{path}?wait=true", json={"points": points})
        assert answer.status_code in {200, 404}, answer.text


@pytest.fixture
async def busy(
    qdrant_url: str, collection_name: str, database: Database, database_url: str, tmp_path: Path
) -> AsyncIterator[Busy]:
    """An instance in this process, mirroring a collection of some points."""
    settings = load(
        qdrant_url=qdrant_url,
        database_url=database_url,
        data_dir=tmp_path,
        default_stage=Stage.DUALWRITE,
        grace_seconds=2.0,
    )
    async with wired(settings) as here, QdrantHttp(qdrant_url) as http:
        config = {"vectors": {"size": 4, "distance": "Cosine"}}
        made = await here.client.put(f"/collections/{collection_name}", json=config)
        assert made.status_code == 200, made.text
        points = [{"id": i, "vector": [1.0, i, 0.0, 0.5], "payload": {}} for i in range(IDS)]
        path = f"/collections/{collection_name}/points?wait=true"
        assert (await here.client.put(path, json={"points": points})).status_code == 200
        source = QdrantStore(http)
        verifier = Verifier(source, database, QdrantHints(http), patience=Patience(0.3, 10.0, 0.05))
        yield Busy(collection_name, here.client, source, PgStore(database), verifier)


async def test_ordinary_traffic_is_no_difference_and_a_write_around_it_is_one(busy: Busy) -> None:
    """Three verifications under writes confirm nothing; then exactly what was done behind the proxy's back."""
    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(busy.write(seed)) for seed in range(3)]
        rechecked = 0
        for _ in range(3):
            result = await busy.verifier.run(busy.name, workers=2)
            assert result["clean"], result
            rechecked += result["rechecked"]
        vector = np.array([1, 0, 0, 0], np.float32)
        await busy.target.apply(busy.name, Upsert([Point(5_000, {"": vector}, {})]), wait=True)
        await busy.source.apply(
            busy.name,
            Upsert([Point(i, {"": vector}, {}) for i in (6_000, 6_001)]),
            wait=True,
        )
        await busy.target.apply(busy.name, Upsert([Point(6_001, {"": vector}, {})]), wait=True)
        await busy.target.apply(busy.name, SetPayload(ByIds((6_001,)), {"x": 1}), wait=True)
        result = await busy.verifier.run(busy.name)
        for each in writers:
            each.cancel()
    assert {entry["id"]: entry["kinds"] for entry in result["differing_ids"]} == {
        5_000: ["extra"], 6_000: ["missing"], 6_001: ["payload"],
    }  # fmt: skip
    assert result["unsettled"] == 0
    assert busy.written > 0
    assert rechecked > 0, "no write was in flight when its id was read: the test shows nothing"
