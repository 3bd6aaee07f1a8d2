"""The cases of the dual write: what it adds to one upsert, what it sustains, how its ledger drains, what it holds."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import count, cycle
from statistics import median
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

from service.model.ids import encode_key
from tests.bench.data import points, unit_vectors, upsert_body
from tests.bench.measure import Better, Case, Pair
from tests.bench.peers import PlainTable
from tests.bench.rig import BenchFailed, Rig

T = TypeVar("T")

_KNOWN_POINTS = 2_000
_PAIRS = 10
_CLIENTS = 4
_BATCH = 100
_BATCHES = 100
_DIRTY = 10_000
_SHORT_LEDGER = 20_000
_LONG_LEDGER = 200_000
_SETTLE_SECONDS = 120.0
_POLL_SECONDS = 0.02
_SWEEPS_SECONDS = 5.0

# It changes nothing and writes an empty record to the log, so that its commit is flushed.
_EMPTY_COMMIT = "SELECT pg_logical_emit_message(true, '', '')"
_INTENTS = """
    INSERT INTO vecferry.intents (id, generation, epoch, owner, behind, owed, keys, cause)
    SELECT w.id, c.generation, c.epoch, i.id, 'target', true, w.keys, 'bench'
    FROM unnest($2::uuid[], $3::bytea[]) AS w (id, keys), vecferry.control AS c, vecferry.instances AS i
    WHERE c.name = $1
"""
_LEFT = """
    SELECT count(*) FROM vecferry.intents AS i JOIN vecferry.control AS c USING (generation)
    WHERE c.name = $1
"""


@asynccontextmanager
async def _added(rig: Rig) -> AsyncIterator[Pair]:
    """One upsert through the proxy, by turns to a mirrored collection and to one that is not."""
    for name in ("bench_added_off", "bench_added_dual"):
        await rig.load(name, _KNOWN_POINTS, seed=6)
    await rig.vecferry("stage", "set", "bench_added_dual", "dualwrite")
    vectors = cycle(unit_vectors(500, seed=7))
    ids = count()

    async def upsert_ms(name: str) -> float:
        body = upsert_body(points(next(ids) * 7 % _KNOWN_POINTS, [next(vectors)]))
        url = f"{rig.proxy}/collections/{name}/points?wait=true"
        return await _ms(rig.send("PUT", url, body))

    connection = await asyncpg.connect(rig.dsn)
    commits: list[float] = []

    async def added_ms() -> float:
        off, dual = [], []
        commits.clear()
        for _ in range(_PAIRS):
            off.append(await upsert_ms("bench_added_off"))
            # Where the intent's own commit stands: after other writes to the same disk.
            commits.append(await _ms(connection.execute(_EMPTY_COMMIT)))
            dual.append(await upsert_ms("bench_added_dual"))
        return median(dual) - median(off)

    async def commit_ms() -> float:
        return median(commits)

    try:
        yield Pair(added_ms, commit_ms)
    finally:
        await connection.close()


@asynccontextmanager
async def _sustained(rig: Rig) -> AsyncIterator[Pair]:
    """Batches from several clients at once, until the last id is in the target too."""
    for name in ("bench_sustained", "bench_direct"):
        await rig.load(name, _BATCH, seed=8)
    await rig.vecferry("stage", "set", "bench_sustained", "dualwrite")
    batches = [points(at * _BATCH, unit_vectors(_BATCH, seed=at)) for at in range(_BATCHES)]
    bodies = [upsert_body(batch) for batch in batches]

    async def rate(base: str, name: str) -> float:
        url = f"{base}/collections/{name}/points?wait=true"
        began = time.perf_counter()
        await _by_clients(lambda body: rig.send("PUT", url, body), bodies)
        if base == rig.proxy:
            await _settled(connection, name)
        return _BATCH * _BATCHES / (time.perf_counter() - began)

    connection = await asyncpg.connect(rig.dsn)
    try:
        async with PlainTable.open(rig, _CLIENTS) as table:

            async def slower_store() -> float:
                began = time.perf_counter()
                await _by_clients(table.upsert, batches)
                alone = _BATCH * _BATCHES / (time.perf_counter() - began)
                return min(alone, await rate(rig.qdrant, "bench_direct"))

            yield Pair(lambda: rate(rig.proxy, "bench_sustained"), slower_store)
    finally:
        await connection.close()


@asynccontextmanager
async def _burst(rig: Rig) -> AsyncIterator[Pair]:
    """A ledger that filled up at once: every point of the target is spoiled, every id has an intent of its own."""
    name = "bench_burst"
    await rig.load(name, _DIRTY, seed=9)
    await _filled(rig, name)
    connection = await asyncpg.connect(rig.dsn)
    try:

        async def resynced() -> float:
            generation = await connection.fetchval(
                "SELECT generation FROM vecferry.control WHERE name = $1", name
            )
            spoiled = f"vecferry_data.points_{generation}"
            await connection.execute(f"UPDATE {spoiled} SET payload = '{{}}'")
            began = time.perf_counter()
            await _dirty(connection, name, _DIRTY)
            await _settled(connection, name)
            seconds = time.perf_counter() - began
            left = await connection.fetchval(
                f"SELECT count(*) FROM {spoiled} WHERE payload = '{{}}'"
            )
            if left:
                message = f"{left} ids were settled without being copied"
                raise BenchFailed(message)
            return _DIRTY / seconds

        async def backfilled() -> float:
            return _DIRTY / await _filled(rig, name)

        yield Pair(resynced, backfilled)
    finally:
        await connection.close()


@asynccontextmanager
async def _memory(rig: Rig) -> AsyncIterator[Pair]:
    """A ledger that cannot drain, because somebody holds the target's table."""
    name = "bench_memory"
    await rig.load(name, 10, seed=10)
    await rig.vecferry("stage", "set", name, "dualwrite")
    connection = await asyncpg.connect(rig.dsn)

    async def held_mb(intents: int) -> float:
        present = await connection.fetchval(_LEFT, name)
        if present < intents:
            await _dirty(connection, name, intents - present)
        await asyncio.sleep(_SWEEPS_SECONDS)
        return rig.serving_megabytes()

    # Its share lock on the table stops the resyncs that have to write it.
    blocker = await asyncpg.connect(rig.dsn)
    generation = await connection.fetchval(
        "SELECT generation FROM vecferry.control WHERE name = $1", name
    )
    holding = blocker.transaction()
    await holding.start()
    await blocker.execute(f"LOCK TABLE vecferry_data.points_{generation} IN SHARE MODE")
    short = await held_mb(_SHORT_LEDGER)

    async def short_ledger() -> float:
        return short

    try:
        yield Pair(lambda: held_mb(_LONG_LEDGER), short_ledger)
    finally:
        await connection.execute("DELETE FROM vecferry.intents WHERE generation = $1", generation)
        await holding.rollback()
        await blocker.close()
        await connection.close()


CASES: tuple[Case[Rig], ...] = (
    Case(
        area="dual write",
        name="added to one upsert by dualwrite over off, p50",
        peer_name="an empty Postgres commit",
        unit="ms",
        better=Better.LOWER,
        goal=2.0,
        rounds=40,
        set_up=_added,
    ),
    Case(
        area="dual write",
        name=f"sustained upserts of {_BATCH} × 384, resync included",
        peer_name="the slower store alone",
        unit="points/s",
        better=Better.HIGHER,
        goal=0.4,
        rounds=4,
        set_up=_sustained,
    ),
    Case(
        area="dual write",
        name=f"resync of {_DIRTY:,} intents of one id",
        peer_name="the backfill of the same points",
        unit="points/s",
        better=Better.HIGHER,
        goal=0.5,
        rounds=3,
        set_up=_burst,
    ),
    Case(
        area="dual write",
        name=f"the proxy's memory at {_LONG_LEDGER:,} unsettled intents",
        peer_name=f"at {_SHORT_LEDGER:,}",
        unit="MB",
        better=Better.LOWER,
        goal=1.1,
        rounds=1,
        set_up=_memory,
    ),
)


async def _filled(rig: Rig, name: str) -> float:
    """Copy a collection into empty tables and return the seconds."""
    await rig.empty_target(name)
    return await rig.job_seconds("backfill", name)


async def _dirty(connection: Any, name: str, intents: int) -> None:
    keys = [encode_key(at % _DIRTY) for at in range(intents)]
    await connection.execute(_INTENTS, name, [uuid4() for _ in keys], keys)


async def _settled(connection: Any, name: str) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    while left := await connection.fetchval(_LEFT, name):
        if time.monotonic() > deadline:
            message = f"{name}: {left} intents are not settled after {_SETTLE_SECONDS:g} s"
            raise BenchFailed(message)
        await asyncio.sleep(_POLL_SECONDS)


async def _by_clients(send: Callable[[T], Awaitable[object]], work: Iterable[T]) -> None:
    """Send everything, ``_CLIENTS`` at a time, in order."""
    waiting = iter(work)

    async def client() -> None:
        for piece in waiting:
            await send(piece)

    async with asyncio.TaskGroup() as clients:
        for _ in range(_CLIENTS):
            clients.create_task(client())


async def _ms(request: Awaitable[object]) -> float:
    began = time.perf_counter()
    await request
    return (time.perf_counter() - began) * 1_000
