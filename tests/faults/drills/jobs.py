"""Backfills whose workers, conductors and stores are hurt while clients write what is being copied."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from tests.faults.crew import Hand, crew
from tests.faults.drill import Drill, Storm
from tests.faults.history import DrillFailed, History
from tests.faults.jobs import LongJob
from tests.faults.stock import POINTS, Ids
from tests.faults.writes import VECTORS

Harm = Callable[[History, LongJob], Awaitable[str]]

_PACE = 30
"""Points per second while harm is done, so that there is time for it."""
_MOST_ROUNDS = 5
NOTED_SECONDS = 25.0


def hurt(harm: Harm) -> Storm:
    """Copy a collection while harm is done to it; the job must end by itself and count no page twice."""

    async def storm(history: History) -> str:
        await history.walk("dualwrite")
        job = await LongJob.begun(history, "backfill", points_per_second=_PACE)
        await job.reaches("running")
        said = await harm(history, job)
        return await _checked(job, said)

    return storm


async def _checked(job: LongJob, said: str) -> str:
    ended = await job.ends()
    row = await job.row()
    # What no client writes is read once, and of the clients' points what is there.
    if not len(job.history.stock) <= row["scanned"] <= POINTS:
        raise DrillFailed(f"{row['scanned']} points were read of {len(job.history.stock)}: {row}")
    if ended["ranges"] <= 1:
        raise DrillFailed(f"the job was not split: {row}")
    return f"{said}; {row['ranges']} ranges, at most {row['attempts']} attempts at one"


async def _workers_killed(history: History, job: LongJob) -> str:
    """Workers come, another number each time, and are killed wherever they are."""
    killed = held = 0
    for _ in range(_MOST_ROUNDS):
        if not await job.is_open():
            break
        count, ranges = history.random.randint(1, 3), history.random.randint(1, 2)
        async with crew(history.rig, count, ranges):
            await asyncio.sleep(history.random.uniform(0.2, 1.5))
            held += max(0, await job.owners() - len(history.rig.instances))
        killed += count
        await job.lapse()
    if not held:
        raise DrillFailed(f"none of {killed} workers had a range when it was killed")
    return f"{killed} workers killed, {held} or more of them with ranges"


@asynccontextmanager
async def _shared(history: History, job: LongJob) -> AsyncIterator[list[Hand]]:
    """Have two workers share the job with the instances: it waits until they have started."""
    instance = history.rig.instances[0]
    await instance.tune_job(job.kind, history.name, paused=True)
    async with crew(history.rig, 2, 2) as hands:
        await instance.tune_job(job.kind, history.name, paused=False)
        await job.is_shared(len(history.rig.instances) + len(hands))
        yield hands


async def _workers_asleep(history: History, job: LongJob) -> str:
    """Workers stop in the middle of a page, are replaced, and wake up when the job has ended."""
    async with _shared(history, job) as hands:
        await asyncio.sleep(history.random.uniform(0.0, 0.5))
        for hand in hands:
            hand.process.signal_all(signal.SIGSTOP)
        await job.is_taken_over()
        await job.ends()
        for hand in hands:
            hand.process.signal_all(signal.SIGCONT)
        await asyncio.sleep(1.0)
    return "2 workers slept"


async def _taken_over(history: History, job: LongJob) -> str:
    """Workers that live lose their ranges again and again, and find out with their next page."""
    async with _shared(history, job):
        for _ in range(8):
            await asyncio.sleep(history.random.uniform(0.1, 0.5))
            await job.is_taken_over()
    return "ranges taken over 8 times"


async def _postgres_dies(history: History, job: LongJob) -> str:
    """Postgres is killed, and restarted, in the middle of pages."""
    postgres = history.rig.postgres
    async with crew(history.rig, 1, 2):
        for end in (postgres.kill, postgres.stop, postgres.kill):
            await asyncio.sleep(history.random.uniform(0.3, 1.0))
            await end()
            await asyncio.sleep(history.random.uniform(0.0, 2.0))
            await postgres.heal()
    return "postgres was away 3 times"


async def _postgres_silent(history: History, job: LongJob) -> str:
    """Nothing comes through to Postgres, or back from it, in the middle of pages."""
    async with crew(history.rig, 1, 2) as hands:
        wires = [hand.to_postgres for hand in hands]
        wires += [instance.to_postgres for instance in history.rig.instances]
        for _ in range(2):
            await asyncio.sleep(history.random.uniform(0.3, 1.0))
            for wire in wires:
                wire.hold()
            await asyncio.sleep(3.0)
            for wire in wires:
                wire.pass_all()
        await asyncio.sleep(1.0)
    return "postgres was silent twice"


async def _qdrant_dies(history: History, job: LongJob) -> str:
    """Qdrant restarts, then is away for long: the job waits and says what for."""
    qdrant = history.rig.qdrant
    if qdrant is None:
        raise DrillFailed("the source is not ours to hurt")
    await asyncio.sleep(0.5)
    await qdrant.stop()
    await qdrant.start()
    await asyncio.sleep(0.5)
    await qdrant.kill()
    try:
        return await job.says("the source (Qdrant)", seconds=NOTED_SECONDS)
    finally:
        await qdrant.start()


async def _qdrant_silent(history: History, job: LongJob) -> str:
    """Nothing comes through to Qdrant, or back from it: reads time out, the job waits and says what for."""
    wires = [each.to_qdrant for each in history.rig.instances]
    for wire in wires:
        wire.hold()
    try:
        return await job.says("the source (Qdrant) did not answer", seconds=NOTED_SECONDS)
    finally:
        for wire in wires:
            wire.pass_all()


async def _killed_preparing(history: History) -> str:
    """The instance that makes the job ready is killed: it cannot ask Qdrant, so that it has not done."""
    await history.walk("dualwrite")
    victim, other = history.rig.instances[:2]
    other.process.signal_all(signal.SIGSTOP)
    victim.to_qdrant.hold()
    job = await LongJob.begun(history, "backfill", by=victim)
    await asyncio.sleep(history.random.uniform(0.2, 1.5))
    if (found := await job.row())["state"] != "preparing":
        raise DrillFailed(f"it is too late to kill who prepares the job: {found}")
    await victim.process.kill()
    other.process.signal_all(signal.SIGCONT)
    await job.lapse()
    await job.reaches("running")
    await victim.heal()
    return await _checked(job, "killed while it prepared")


async def _killed_finishing(history: History) -> str:
    """All instances are killed in the middle of an index build; who comes next clears up and builds it."""
    await history.walk("dualwrite")
    async with _build_blocked(history):
        job = await LongJob.begun(history, "backfill")
        await job.reaches("finishing")
        await asyncio.sleep(history.random.uniform(0.5, 1.5))
        for instance in history.rig.instances:
            await instance.process.kill()
    await job.lapse()
    for instance in history.rig.instances:
        await instance.heal()
    said = await _checked(job, "killed while it built indexes")
    found = await history.rig.fetch(
        "SELECT i.indisvalid AS is_valid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " JOIN pg_am AS a ON a.oid = c.relam JOIN vecferry.collections AS o ON o.name = $1"
        " WHERE a.amname = 'hnsw' AND i.indrelid::regclass::text LIKE 'vecferry_data.vectors_' || o.id || '\\_%'",
        history.name,
    )
    if [row["is_valid"] for row in found] != [True] * len(VECTORS):
        raise DrillFailed(f"the indexes are {found}")
    return said


@asynccontextmanager
async def _build_blocked(history: History) -> AsyncIterator[None]:
    """Have a transaction open that has written the vectors: an index is not built CONCURRENTLY before it ends."""
    row = (
        await history.rig.fetch("SELECT id FROM vecferry.collections WHERE name = $1", history.name)
    )[0]
    connection = await asyncpg.connect(history.rig.postgres.dsn)
    try:
        async with connection.transaction():
            await connection.execute(
                f"LOCK TABLE vecferry_data.vectors_{row['id']}_0 IN ROW EXCLUSIVE MODE"
            )
            yield
    finally:
        await connection.close()


def drills() -> list[Drill]:
    """Return the drills that copy a collection which is hurt meanwhile."""
    killed = [
        Drill(f"backfill, workers killed, {ids} ids", "off", hurt(_workers_killed), may_fail=False, stock=ids)
        for ids in Ids
    ]  # fmt: skip
    quiet: dict[str, Harm] = {
        "workers asleep": _workers_asleep,
        "taken over": _taken_over,
    }
    loud: dict[str, Harm] = {
        "postgres dies": _postgres_dies,
        "postgres silent": _postgres_silent,
        "qdrant dies": _qdrant_dies,
        "qdrant silent": _qdrant_silent,
    }
    return [
        *killed,
        *(
            Drill(f"backfill, {name}", "off", hurt(harm), may_fail=False, stock=Ids.MIXED)
            for name, harm in quiet.items()
        ),
        *(
            Drill(
                f"backfill, {name}", "off", hurt(harm), stock=Ids.MIXED,
                own_qdrant=harm is _qdrant_dies,
            )
            for name, harm in loud.items()
        ),
        Drill("backfill, killed while it prepares", "off", _killed_preparing, stock=Ids.MIXED),
        Drill("backfill, killed while it builds", "off", _killed_finishing, stock=Ids.MIXED),
    ]  # fmt: skip
