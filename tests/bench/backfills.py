"""The cases of backfill and verification: against their own halves, the server, the first script, each other."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import orjson

from tests.bench import crew
from tests.bench.hop import delaying
from tests.bench.measure import Better, Case, Pair
from tests.bench.peers import CopiedTables, tables_of
from tests.bench.rig import BenchFailed, Rig
from tests.processes import clean_environment

_NAME = "bench_copied"
_POINTS = 100_000
_SCRIPT_NAME = "bench_script"
_SCRIPT_POINTS = 20_000
_HOP_SECONDS = 0.1
_EARLY_POINTS = 10_000


@asynccontextmanager
async def _halves(rig: Rig) -> AsyncIterator[Pair]:
    await _loaded(rig, _NAME, _POINTS)

    async def slower_half() -> float:
        await rig.empty_target(_NAME)
        halves = await _measured(rig, "halves", rig.qdrant, rig.dsn, _NAME)
        return _POINTS / max(halves.values())

    yield Pair(_backfilled(rig, _NAME, _POINTS), slower_half)


@asynccontextmanager
async def _server_copy(rig: Rig) -> AsyncIterator[Pair]:
    await _loaded(rig, _NAME, _POINTS)
    async with CopiedTables.open(rig, _NAME, _POINTS) as copies:
        yield Pair(_backfilled(rig, _NAME, _POINTS), copies.rows_per_second)


@asynccontextmanager
async def _script(rig: Rig) -> AsyncIterator[Pair]:
    await _loaded(rig, _SCRIPT_NAME, _SCRIPT_POINTS)
    file = str(rig.directory / "export.json")

    async def scripted() -> float:
        await rig.empty_target(_SCRIPT_NAME)
        connection = await asyncpg.connect(rig.dsn)
        try:
            tables = await tables_of(connection, _SCRIPT_NAME)
        finally:
            await connection.close()
        steps = await _measured(rig, "script", rig.qdrant, rig.dsn, _SCRIPT_NAME, *tables, file)
        return _SCRIPT_POINTS / sum(steps.values())

    yield Pair(_backfilled(rig, _SCRIPT_NAME, _SCRIPT_POINTS), scripted)


@asynccontextmanager
async def _verification(rig: Rig) -> AsyncIterator[Pair]:
    await _loaded(rig, _NAME, _POINTS)
    backfilled = _backfilled(rig, _NAME, _POINTS)
    await backfilled()

    async def verified() -> float:
        seconds = await rig.job_seconds("verify", _NAME)
        result = (await rig.job("verify", _NAME))["result"]
        if not result["clean"] or result["compared"] != _POINTS:
            message = f"verification of {_NAME}: {result}"
            raise BenchFailed(message)
        return _POINTS / seconds

    yield Pair(verified, backfilled)


@asynccontextmanager
async def _two_workers(rig: Rig) -> AsyncIterator[Pair]:
    second = await crew.crewed(rig)
    yield Pair(_by_workers(second, 2, second.qdrant), _by_workers(second, 1, second.qdrant))


@asynccontextmanager
async def _two_far_workers(rig: Rig) -> AsyncIterator[Pair]:
    second = await crew.crewed(rig)
    async with delaying(second.qdrant, _HOP_SECONDS) as far:
        yield Pair(_by_workers(second, 2, far), _by_workers(second, 1, far))


@asynccontextmanager
async def _memory(rig: Rig) -> AsyncIterator[Pair]:
    second = await crew.crewed(rig)
    early: list[float] = []

    async def at_the_end() -> float:
        seen = await crew.copied(second, 1)
        early.append(next(each.megabytes for each in seen if each.scanned >= _EARLY_POINTS))
        return seen[-1].megabytes

    async def at_first() -> float:
        return early[-1]

    yield Pair(at_the_end, at_first)


_rate = partial(
    Case, area="backfill", unit="points/s", better=Better.HIGHER, rounds=2, warms_up=False
)

CASES: tuple[Case[Rig], ...] = (
    _rate(
        name=f"backfill of {_POINTS:,} points",
        peer_name="the slower of its halves alone: pages scrolled and decoded, or inserted",
        goal=0.7,
        set_up=_halves,
    ),
    _rate(
        name=f"backfill of {_POINTS:,} points, beside COPY",
        peer_name="server-side binary COPY of the same rows",
        goal=0.05,
        rounds=1,
        set_up=_server_copy,
    ),
    _rate(
        name=f"backfill of {_SCRIPT_POINTS:,} points, beside the script",
        peer_name="JSON export, then row-by-row INSERT with text vectors",
        goal=6.0,
        set_up=_script,
        warms_up=True,
    ),
    _rate(
        name=f"verification of {_POINTS:,} points",
        peer_name="the backfill of the same points",
        goal=0.9,
        set_up=_verification,
    ),
    _rate(
        name="two workers",
        peer_name="one worker",
        goal=1.15,
        set_up=_two_workers,
    ),
    _rate(
        name=f"two workers, {_HOP_SECONDS * 1_000:g} ms added to each page of the source",
        peer_name="one worker, as far away",
        goal=1.6,
        rounds=1,
        set_up=_two_far_workers,
    ),
    Case(
        area="backfill",
        name=f"a worker's memory after {crew.POINTS:,} points",
        peer_name=f"after {_EARLY_POINTS:,}",
        unit="MB",
        better=Better.LOWER,
        goal=1.1,
        rounds=1,
        set_up=_memory,
        warms_up=False,
    ),
)


async def _loaded(rig: Rig, name: str, points: int) -> None:
    """Load the collection and mirror it, when the first case asks for it."""
    if name not in rig.shared:
        await rig.load(name, points, seed=5, is_indexed=False)
        await rig.vecferry("stage", "set", name, "dualwrite")
        rig.shared[name] = True


def _backfilled(rig: Rig, name: str, points: int) -> Callable[[], Awaitable[float]]:
    """Return the measure of a whole backfill, from the request that starts it until it is done."""

    async def measure() -> float:
        await rig.empty_target(name)
        return points / await rig.job_seconds("backfill", name)

    return measure


def _by_workers(rig: Rig, count: int, qdrant: str) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        return crew.rate(await crew.copied(rig, count, qdrant=qdrant))

    return measure


async def _measured(rig: Rig, program: str, *arguments: str) -> dict[str, float]:
    """Run a module of the benchmark as a process of its own, and return the seconds that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.bench.{program}", *arguments,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    if process.returncode != 0:
        message = f"{program}: {errors.decode(errors='replace')[-1_000:]}"
        raise BenchFailed(message)
    (rig.directory / f"{program}.json").write_bytes(output)
    seconds: dict[str, float] = orjson.loads(output)
    return seconds
