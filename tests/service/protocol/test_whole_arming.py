"""A collection of every kind of vector, with indexes and an alias, that was there before it was mirrored."""

import asyncio

import httpx

from service.stages import Stage
from tests.service.protocol.pairs import Pair

BODY = {
    "vectors": {
        "dense": {"size": 2, "distance": "Cosine"},
        "half": {"size": 2, "distance": "Euclid", "datatype": "float16"},
        "bytes": {"size": 2, "distance": "Dot", "datatype": "uint8"},
        "multi": {
            "size": 2,
            "distance": "Dot",
            "multivector_config": {"comparator": "max_sim"},
        },
    },
    "sparse_vectors": {"sparse": {"modifier": "idf"}},
}


def _point(number: int) -> dict[str, object]:
    vectors: dict[str, object] = {
        "dense": [1.0, number / 3],
        "half": [0.1, number / 7],
        "bytes": [1, number],
        "multi": [[1.0, 0.5], [0.25, float(number)]],
        "sparse": {"indices": [number, 4_000_000_000], "values": [0.5, 1.5]},
    }
    kept = dict(list(vectors.items())[: 1 + number % 5])
    return {"id": number, "vector": kept, "payload": {"n": number, "words": ["a", f"w{number}"]}}


async def _job(pair: Pair, kind: str) -> dict[str, object]:
    """Run a long job of the first instance to its end and return its result."""
    transport = httpx.ASGITransport(pair.one.instance.control)
    key = {"authorization": f"Bearer {pair.key}"}
    path = f"/v1/control/collections/{pair.name}/{kind}"
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(transport=transport, base_url="http://c", headers=key) as operator,
    ):
        started = await operator.post(path, json={})
        assert started.status_code < 300, started.text
        state, job = "running", {}
        while state == "running":
            await asyncio.sleep(0.05)
            job = (await operator.get(path)).json()["job"]
            state = job["state"]
    assert state == "done", job
    result: dict[str, object] = job["result"]
    return result


async def _contents(client: httpx.AsyncClient, name: str) -> list[object]:
    body = {"limit": 100, "with_vector": True, "with_payload": True}
    answer = await client.post(f"/collections/{name}/points/scroll", json=body)
    points: list[object] = answer.json()["result"]["points"]
    return points


async def _described(client: httpx.AsyncClient, name: str) -> tuple[object, object]:
    result = (await client.get(f"/collections/{name}")).json()["result"]
    schema = {field: each["data_type"] for field, each in result["payload_schema"].items()}
    return schema, result["config"]["params"]["vectors"]


async def test_it_comes_over_whole(pair: Pair) -> None:
    """Armed, copied, verified and live: points, indexes and alias are those of Qdrant."""
    alias = f"{pair.name}-alias"
    made = await pair.qdrant.put(pair.path, json=BODY)
    assert made.status_code == 200, made.text
    for field, kind in (("n", "integer"), ("words", "keyword")):
        index = {"field_name": field, "field_schema": kind}
        await pair.qdrant.put(f"{pair.path}/index?wait=true", json=index)
    points = {"points": [_point(number) for number in range(1, 21)]}
    written = await pair.qdrant.put(f"{pair.path}/points?wait=true", json=points)
    assert written.status_code == 200, written.text
    action = {"create_alias": {"alias_name": alias, "collection_name": pair.name}}
    await pair.qdrant.post("/collections/aliases", json={"actions": [action]})
    await pair.moved(Stage.DUALWRITE)
    # Through the mirror, before and after the copy.
    await pair.two.client.put(f"{pair.path}/points?wait=true", json={"points": [_point(21)]})
    await _job(pair, "backfill")
    await pair.two.client.put(f"{pair.path}/points?wait=true", json={"points": [_point(22)]})
    await pair.settled()
    verified = await _job(pair, "verify")
    assert (verified["clean"], verified["compared"]) == (True, 22), verified
    await pair.moved(Stage.SHADOW)
    await pair.moved(Stage.LIVE)
    assert await _contents(pair.two.client, alias) == await _contents(pair.qdrant, pair.name)
    assert len(await _contents(pair.qdrant, pair.name)) == 22
    assert await _described(pair.two.client, alias) == await _described(pair.qdrant, pair.name)


async def test_a_read_does_not_span_both_stores(pair: Pair) -> None:
    """A collection in Postgres does not look into one that Qdrant is right for, nor the other way round."""
    off, body = f"{pair.name}-off", {"vectors": {"size": 2, "distance": "Dot"}}
    assert (await pair.qdrant.put(f"/collections/{off}", json=body)).status_code == 200
    assert (await pair.one.client.put(pair.path, json=body)).status_code == 200
    point = {"points": [{"id": 1, "vector": [1.0, 2.0]}]}
    for name in (off, pair.name):
        await pair.one.client.put(f"/collections/{name}/points?wait=true", json=point)
    await pair.settled()
    await pair.moved(Stage.SHADOW)
    await pair.moved(Stage.LIVE)
    for here, there in ((off, pair.name), (pair.name, off)):
        search = {"query": 1, "lookup_from": {"collection": there}}
        answer = await pair.two.client.post(f"/collections/{here}/points/query", json=search)
        assert answer.status_code == 501
        assert answer.json()["status"]["error"].startswith("Not implemented: lookup_from ")
    own = {"query": 1, "lookup_from": {"collection": pair.name}}
    answer = await pair.two.client.post(f"{pair.path}/points/query", json=own)
    assert answer.status_code == 200
