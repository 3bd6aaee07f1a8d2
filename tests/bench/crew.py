"""A second system, whose instance leaves the ranges to ``vecferry worker`` processes, and those processes."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.bench.rig import BenchFailed, Rig, megabytes, started
from tests.processes import Child, running, wait_for_output, watch

POINTS = 100_000
NAME = "bench_crew"

_WORKING = re.compile("working")
_POLL_SECONDS = 0.02
_LONGEST_SECONDS = 300.0
_PROGRESS = """
    SELECT coalesce(sum(r.scanned), 0)::bigint, coalesce(bool_and(r.done), false), j.error
    FROM vecferry.jobs AS j JOIN vecferry.collections AS c ON c.id = j.generation
    LEFT JOIN vecferry.job_ranges AS r ON r.job = j.id
    WHERE c.name = $1 AND j.kind = 'backfill' GROUP BY j.id, j.error ORDER BY max(j.created_at) DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at a copy: seconds since it began, points read, and what the first worker holds in memory."""

    seconds: float
    scanned: int
    megabytes: float


async def crewed(rig: Rig) -> Rig:
    """Return the second system with its collection, started when the first case asks for it."""
    if NAME not in rig.shared:
        directory = rig.directory / NAME
        directory.mkdir()
        directory.chmod(0o755)
        settings = {"VECFERRY_WORKERS": "0"}
        second = await rig.stack.enter_async_context(started(directory, settings))
        await second.load(NAME, POINTS, seed=11, is_indexed=False)
        rig.shared[NAME] = second
    found: Rig = rig.shared[NAME]
    return found


@asynccontextmanager
async def workers(rig: Rig, count: int, qdrant: str) -> AsyncIterator[list[Child]]:
    """Run so many worker processes, which read from this address, and yield when they look for work."""
    environment = rig.environment | {"VECFERRY_QDRANT_URL": qdrant}
    async with AsyncExitStack() as stack:
        children = [
            await stack.enter_async_context(
                running(f"worker-{number}", ["worker", "--ranges", "1"], environment, rig.directory)
            )
            for number in range(count)
        ]
        for child in children:
            await wait_for_output(child, _WORKING)
        yield children


async def copied(rig: Rig, count: int, *, qdrant: str | None = None) -> list[Seen]:
    """Copy the collection into empty tables with so many workers, and return what was seen of it.

    The workers start when the job waits for them: how long an idle one pauses does not count.
    """
    await rig.empty_target(NAME)
    await rig.start_job("backfill", NAME)
    await _past(rig, "preparing")
    async with workers(rig, count, qdrant or rig.qdrant) as children, asyncio.TaskGroup() as tasks:
        watching = [tasks.create_task(watch(child)) for child in children]
        seen = await _seen(rig, children[0])
        for task in watching:
            task.cancel()
    await _past(rig, "running", "finishing")
    return seen


def rate(seen: list[Seen]) -> float:
    """Return points per second from the first page that was seen to the last."""
    first, last = seen[0], seen[-1]
    return (last.scanned - first.scanned) / (last.seconds - first.seconds)


async def _past(rig: Rig, *phases: str) -> None:
    """Wait until the job is in none of these phases."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        while (job := await rig.job("backfill", NAME))["phase"] in phases:  # noqa: ASYNC110 - another process
            await asyncio.sleep(_POLL_SECONDS)
    if job["state"] == "failed":
        message = f"backfill of {NAME}: {job['error']}"
        raise BenchFailed(message)


async def _seen(rig: Rig, worker: Child) -> list[Seen]:
    seen: list[Seen] = []
    connection = await asyncpg.connect(rig.dsn)
    began = time.perf_counter()
    try:
        while True:
            scanned, is_done, error = await connection.fetchrow(_PROGRESS, NAME)
            seconds = time.perf_counter() - began
            if error is not None or seconds > _LONGEST_SECONDS:
                message = f"backfill of {NAME}: {error or 'takes too long'}"
                raise BenchFailed(message)
            if scanned and (not seen or scanned > seen[-1].scanned):
                seen.append(Seen(seconds, scanned, megabytes(worker)))
            if is_done:
                return seen
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await connection.close()
