"""Named vectors that come and go, on two whole instances, a real Qdrant engine and a real Postgres (R10)."""

import asyncio
import random

import httpx
import pytest

from service.model.points import SparseVector
from service.model.qdrant import ScrollRequest
from service.stages import Stage
from service.stores.postgres.store import PgStore
from tests.service.protocol.pairs import Pair, to_stage

NAMED = {"vectors": {"a": {"size": 2, "distance": "Dot"}}}
DENSE = {"dense": {"size": 2, "distance": "Euclid"}}
OTHER = {"dense": {"size": 3, "distance": "Euclid"}}
SPARSE = {"sparse": {"modifier": "idf"}}

Contents = dict[object, dict[str, object]]


async def _named(pair: Pair, stage: Stage) -> None:
    await to_stage(pair, stage, NAMED)


async def _vector(
    client: httpx.AsyncClient, pair: Pair, name: str, config: object = None
) -> httpx.Response:
    """Make a named vector, or remove it without a configuration."""
    path = f"{pair.path}/vectors/{name}?wait=true"
    if config is None:
        return await client.delete(path)
    return await client.put(path, json=config)


async def _put(
    client: httpx.AsyncClient, pair: Pair, point_id: int, **vectors: object
) -> httpx.Response:
    points = [{"id": point_id, "vector": vectors, "payload": {"n": point_id}}]
    return await client.put(f"{pair.path}/points?wait=true", json={"points": points})


async def _on_source(pair: Pair) -> Contents:
    body = {"limit": 1000, "with_vector": True}
    answer = await pair.qdrant.post(f"{pair.path}/points/scroll", json=body)
    return {each["id"]: each["vector"] for each in answer.json()["result"]["points"]}


async def _on_target(pair: Pair) -> Contents:
    request = ScrollRequest(limit=1000, with_vector=True)
    page = await PgStore(pair.database).scroll(pair.name, request)
    return {
        each.id: {
            name: {"indices": v.indices.tolist(), "values": v.values.tolist()}
            if isinstance(v, SparseVector)
            else v.tolist()
            for name, v in (each.vectors or {}).items()
        }
        for each in page.records
    }


async def _equal(pair: Pair) -> Contents:
    """Return the points with their vectors, which are the same in both stores, as are the configurations."""
    await pair.settled()
    contents = await _on_target(pair)
    assert await _on_source(pair) == contents
    info = (await pair.qdrant.get(pair.path)).json()["result"]["config"]["params"]
    target = (await PgStore(pair.database).collection_info(pair.name)).config.params
    vectors = target.vectors
    assert isinstance(vectors, dict)
    assert info["vectors"].keys() == vectors.keys()
    assert (info.get("sparse_vectors") or {}).keys() == (target.sparse_vectors or {}).keys()
    return contents


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE])
async def test_a_named_vector_comes_and_goes_in_both_stores(pair: Pair, stage: Stage) -> None:
    """Points have it as soon as it is there; one that was removed and made again is empty in both."""
    await _named(pair, stage)
    one, two = pair.one.client, pair.two.client
    generation = pair.one.instance.plane.view.state(pair.name).generation
    for name, config in (("b", DENSE), ("s", SPARSE)):
        answer = await _vector(one, pair, name, config)
        assert (answer.status_code, answer.json()["result"]["status"]) == (200, "completed")
    sparse = {"indices": [7], "values": [0.5]}
    assert (await _put(two, pair, 1, a=[1.0, 2.0], b=[3.0, 4.0], s=sparse)).status_code == 200
    assert await _equal(pair) == {1: {"a": [1.0, 2.0], "b": [3.0, 4.0], "s": sparse}}
    again = await _vector(two, pair, "b", OTHER)
    assert (again.status_code, "different configuration" in again.text) == (400, True)
    assert (await _vector(two, pair, "b", DENSE)).status_code == 200
    for _ in range(2):
        assert (await _vector(two, pair, "b")).status_code == 200
    assert (await _vector(one, pair, "b", DENSE)).status_code == 200
    assert await _equal(pair) == {1: {"a": [1.0, 2.0], "s": sparse}}
    assert (await _vector(one, pair, "b")).status_code == 200
    assert (await _vector(one, pair, "b", OTHER)).status_code == 200
    assert (await _put(two, pair, 2, b=[3.0, 4.0, 5.0])).status_code == 200
    assert await _equal(pair) == {1: {"a": [1.0, 2.0], "s": sparse}, 2: {"b": [3.0, 4.0, 5.0]}}
    # No new generation: nothing needs to be copied again.
    assert (await pair.one.instance.plane.refresh()).state(pair.name).generation == generation


async def _changer(pair: Pair, client: httpx.AsyncClient, chance: random.Random) -> None:
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        config = chance.choice([None, DENSE])
        answer = await _vector(client, pair, "b", config)
        assert answer.status_code in {200, 503}, answer.text


async def _writer(pair: Pair, client: httpx.AsyncClient, chance: random.Random) -> None:
    for _ in range(25):
        await asyncio.sleep(chance.uniform(0.0, 0.03))
        vectors = {"a": [1.0, float(chance.randrange(9))]}
        if chance.random() < 0.6:
            vectors["b"] = [2.0, float(chance.randrange(9))]
        answer = await _put(client, pair, chance.randrange(12), **vectors)
        assert answer.status_code in {200, 400, 503}, answer.text


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_a_vector_comes_and_goes_under_writes(pair: Pair, stage: Stage, seed: int) -> None:
    """Whatever two instances do at the same moment, it ends with equal stores and an empty ledger."""
    chance = random.Random(seed)
    await _named(pair, stage)
    async with asyncio.TaskGroup() as tasks:
        for here in (pair.one, pair.two):
            tasks.create_task(_changer(pair, here.client, random.Random(chance.random())))
            tasks.create_task(_writer(pair, here.client, random.Random(chance.random())))
    await _equal(pair)
