"""A million points copied through a live proxy: ``python -m tests.bench.million [POINTS]``; not part of ``make bench``.

Two clients write single points and two read ten points by id, each ten times a second, before, during and after the
copy, which one ``vecferry worker`` makes, and the build of the index behind it. Writes ``build/million.json`` before it
verifies what it has copied.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tests.bench.corpus import clustered
from tests.bench.crew import workers
from tests.bench.data import DIMENSIONS, points
from tests.bench.rig import BenchFailed, Rig, megabytes, started
from tests.processes import Child

_NAME = "million"
_REPORT = Path("build/million.json")
_LOAD_BATCH = 1_000
_LOADS_AT_ONCE = 2
_CALM_SECONDS = 30.0
_EVERY_SECONDS = 0.1
_LOOK_SECONDS = 1.0
_MARKS = (10_000, 100_000, 500_000, 1_000_000)
_SETTINGS = {
    "VECFERRY_WORKERS": "0",
    "VECFERRY_INDEX_MIN_ROWS": "10000",
    # The embedded server's own settings suggest 512, too little for a graph of a million points.
    "VECFERRY_INDEX_MEMORY_MB": "4096",
}


@dataclass(slots=True)
class _Clients:
    """What clients waited for their answers: (phase, kind, milliseconds) of each request."""

    count: int
    phase: str = "before"
    waited: list[tuple[str, str, float]] = field(default_factory=list)

    def figures(self) -> dict[str, dict[str, float]]:
        """Return the percentiles in milliseconds by phase and kind."""
        found = {}
        for phase, kind in sorted({(phase, kind) for phase, kind, _ in self.waited}):
            waited = [ms for p, k, ms in self.waited if (p, k) == (phase, kind)]
            p50, p99 = np.percentile(waited, [50, 99])
            found[f"{kind} {phase}"] = {
                "requests": len(waited),
                "p50": float(p50),
                "p99": float(p99),
            }
        return found


def main() -> int:
    """Run it and print where the record is."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="vecferry-bench-") as name:
        Path(name).chmod(0o755)
        asyncio.run(_run(Path(name), count))
    return 0


async def _run(directory: Path, count: int) -> None:
    async with started(directory, _SETTINGS) as rig:
        began = time.perf_counter()
        await _load(rig, count)
        _say(f"{count:,} points loaded in {time.perf_counter() - began:.0f} s")
        await rig.vecferry("stage", "set", _NAME, "dualwrite")
        clients = _Clients(count)
        async with workers(rig, 1, rig.qdrant) as (worker,), asyncio.TaskGroup() as tasks:
            sending = [
                tasks.create_task(_client(rig, clients, kind, number))
                for number, kind in enumerate(("write", "read") * 2)
            ]
            await asyncio.sleep(_CALM_SECONDS)
            seen = await _copied(rig, worker, clients)
            clients.phase = "after"
            await asyncio.sleep(_CALM_SECONDS)
            record = {
                "points": count,
                "clients_ms": clients.figures(),
                "points_per_second": _rates(seen),
                "indexes": (await rig.job("backfill", _NAME))["result"]["indexes"],
                "worker_megabytes": _memory(seen),
                "throttle": _throttle(worker.log),
                "notes": _notes(seen),
            }
            _write(record)
            _say(orjson.dumps(record["clients_ms"], option=orjson.OPT_INDENT_2).decode())
            for task in sending:
                task.cancel()
            seconds = await rig.job_seconds("verify", _NAME)
        result = (await rig.job("verify", _NAME))["result"]
        verified = {key: result[key] for key in ("clean", "compared", "differing", "rechecked")}
        _write(record | {"verification": verified | {"seconds": seconds}})
        _say(f"verified in {seconds:.0f} s: {verified}; {_REPORT}")


async def _load(rig: Rig, count: int) -> None:
    path = f"{rig.qdrant}/collections/{_NAME}"
    # No graph in the source: clients ask for ids, and two cores have better to do.
    await rig.send(
        "PUT",
        path,
        b'{"vectors":{"size":%d,"distance":"Cosine"},"optimizers_config":{"indexing_threshold":0}}'
        % DIMENSIONS,
    )
    firsts = iter(range(0, count, _LOAD_BATCH))

    async def loader() -> None:
        for first in firsts:
            body = _body(first, min(_LOAD_BATCH, count - first))
            await rig.send("PUT", f"{path}/points?wait=true", body)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_LOADS_AT_ONCE):
            tasks.create_task(loader())


def _body(first: int, count: int) -> bytes:
    batch = points(first, list(clustered(count, seed=first)))
    return orjson.dumps({"points": batch}, option=orjson.OPT_SERIALIZE_NUMPY)


async def _client(rig: Rig, clients: _Clients, kind: str, number: int) -> None:
    """Send requests at even intervals, later ones at once when an answer took longer."""
    random = np.random.default_rng(number)
    path = f"{rig.proxy}/collections/{_NAME}/points"

    def write() -> Awaitable[bytes]:
        body = _body(int(random.integers(clients.count)), 1)
        return rig.send("PUT", f"{path}?wait=true", body)

    def read() -> Awaitable[bytes]:
        ids = random.integers(clients.count, size=10).tolist()
        return rig.send("POST", path, orjson.dumps({"ids": ids, "with_payload": True}))

    request: Callable[[], Awaitable[bytes]] = write if kind == "write" else read
    due = time.perf_counter()
    while True:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        await request()
        clients.waited.append((clients.phase, kind, (time.perf_counter() - began) * 1_000))
        due = max(due + _EVERY_SECONDS, began)


@dataclass(frozen=True, slots=True)
class _Look:
    seconds: float
    scanned: int
    megabytes: float
    note: str | None


async def _copied(rig: Rig, worker: Child, clients: _Clients) -> list[_Look]:
    """Copy the collection, look at the copy once a second until its last page, and wait for the index."""
    clients.phase = "copying"
    began, seen = time.perf_counter(), []
    await rig.start_job("backfill", _NAME)
    while True:
        job = await rig.job("backfill", _NAME)
        seconds = time.perf_counter() - began
        note = job["note"]
        if clients.phase == "copying":
            seen.append(_Look(seconds, job["scanned"], megabytes(worker), note))
        if job["state"] == "done":
            return seen
        if job["phase"] == "finishing":
            clients.phase = "indexing"
        if job["state"] == "failed":
            raise BenchFailed(job["error"])
        if int(seconds) % 10 == 0:
            _say(f"{seconds:.0f} s: {job['scanned']:,} points, {note or 'no wait'}")
        await asyncio.sleep(_LOOK_SECONDS)


def _rates(seen: list[_Look]) -> list[dict[str, float]]:
    """Return the rate of each tenth of the copy."""
    total = seen[-1].scanned
    edges = [seen[0], *(_first(seen, total * tenth // 10) for tenth in range(1, 11))]
    return [
        {
            "points": after.scanned,
            "seconds": round(after.seconds, 1),
            "rate": round((after.scanned - before.scanned) / (after.seconds - before.seconds)),
        }
        for before, after in pairwise(edges)
        if after.seconds > before.seconds
    ]


def _memory(seen: list[_Look]) -> dict[int, float]:
    marks = [mark for mark in _MARKS if mark < seen[-1].scanned]
    at_marks = {mark: round(_first(seen, mark).megabytes, 1) for mark in marks}
    return {0: round(seen[0].megabytes, 1), **at_marks, seen[-1].scanned: seen[-1].megabytes}


def _first(seen: list[_Look], points_read: int) -> _Look:
    return next(look for look in seen if look.scanned >= points_read)


def _notes(seen: list[_Look]) -> list[tuple[float, str | None]]:
    """Return what the job said it waited for, whenever that changed."""
    changes: list[tuple[float, str | None]] = []
    for look in seen:
        if not changes or changes[-1][1] != look.note:
            changes.append((round(look.seconds, 1), look.note))
    return changes


def _throttle(log: Path) -> list[dict[str, Any]]:
    """Return the worker's history of its throttle."""
    changes = []
    for line in log.read_text(errors="replace").splitlines():
        with suppress(orjson.JSONDecodeError):
            entry = orjson.loads(line)
            if entry.get("event") == "throttle_changed":
                changes.append({name: entry[name] for name in ("at", "share", "reason")})
    return changes


def _write(record: dict[str, Any]) -> None:
    _REPORT.parent.mkdir(parents=True, exist_ok=True)
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    _REPORT.write_bytes(orjson.dumps(record, option=options))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
