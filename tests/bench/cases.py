"""The cases: each sets its collections up and yields one measure for vecferry, one for the peer."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count, cycle
from statistics import median

import orjson

from tests.bench.data import points, query_body, unit_vectors, upsert_body
from tests.bench.measure import Better, Case, Pair
from tests.bench.rig import BenchFailed, Rig

_SEARCHED_POINTS = 5_000
_WRITTEN_POINTS = 2_000


@asynccontextmanager
async def _search(rig: Rig) -> AsyncIterator[Pair]:
    await rig.load("bench_search", _SEARCHED_POINTS, seed=1)
    vectors = unit_vectors(100, seed=2)
    bodies = cycle([query_body(vector, limit=10) for vector in vectors])
    await _same_answers(rig, "bench_search", query_body(vectors[0], limit=10))

    def searching(base: str) -> Callable[[], Awaitable[float]]:
        url = f"{base}/collections/bench_search/points/query"
        return lambda: _p50_ms(lambda: rig.send("POST", url, next(bodies)), requests=20)

    yield Pair(searching(rig.proxy), searching(rig.qdrant))


@asynccontextmanager
async def _upsert(rig: Rig) -> AsyncIterator[Pair]:
    await rig.load("bench_mirrored", _WRITTEN_POINTS, seed=3)
    await rig.load("bench_plain", _WRITTEN_POINTS, seed=3)
    await rig.vecferry("stage", "set", "bench_mirrored", "dualwrite")
    vectors = cycle(unit_vectors(500, seed=4))
    ids = count()

    def body() -> bytes:
        return upsert_body(points(next(ids) * 7 % _WRITTEN_POINTS, [next(vectors)]))

    def writing(base: str, collection: str) -> Callable[[], Awaitable[float]]:
        url = f"{base}/collections/{collection}/points?wait=true"
        return lambda: _p50_ms(lambda: rig.send("PUT", url, body()), requests=10)

    yield Pair(writing(rig.proxy, "bench_mirrored"), writing(rig.qdrant, "bench_plain"))


CASES: tuple[Case[Rig], ...] = (
    Case(
        area="proxy",
        name="search passed through, p50",
        peer_name="the same query sent straight to Qdrant",
        unit="ms",
        better=Better.LOWER,
        goal=1.5,
        rounds=60,
        set_up=_search,
    ),
    Case(
        area="proxy",
        name="upsert of one point in dualwrite, p50",
        peer_name="the same upsert sent straight to Qdrant",
        unit="ms",
        better=Better.LOWER,
        goal=2.5,
        rounds=50,
        set_up=_upsert,
    ),
)


async def _same_answers(rig: Rig, collection: str, body: bytes) -> None:
    """Refuse to compare two sides that do not do the same work."""
    path = f"collections/{collection}/points/query"
    answers = [
        orjson.loads(await rig.send("POST", f"{base}/{path}", body))["result"]
        for base in (rig.proxy, rig.qdrant)
    ]
    if answers[0] != answers[1] or not answers[0]["points"]:
        message = f"{collection}: the proxy and Qdrant answer differently"
        raise BenchFailed(message)


async def _p50_ms(request: Callable[[], Awaitable[object]], *, requests: int) -> float:
    seconds = []
    for _ in range(requests):
        began = time.perf_counter()
        await request()
        seconds.append(time.perf_counter() - began)
    return median(seconds) * 1_000
