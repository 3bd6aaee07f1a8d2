"""The system under test: both engines and the proxy, each a process of its own, on loopback.

The engines are the embedded ones, started by the same commands an operator would use.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.bench.data import DIMENSIONS, points, unit_vectors, upsert_body
from tests.processes import (
    Child,
    clean_environment,
    free_port,
    running,
    vecferry_command,
    wait_for_dsn,
    wait_for_url,
)

_POLL_SECONDS = 0.01
_LONGEST_POLL_SECONDS = 0.1
_LOAD_BATCH = 500
_SEED_POINTS = 10_000
"""So many come from one seed: a collection of any size is made without holding it."""


class BenchFailed(Exception):
    """A part of the system did not do what the benchmark needs; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A running system: base URLs of Qdrant itself, the proxy and its control API, and the target's DSN."""

    qdrant: str
    proxy: str
    control: str
    dsn: str
    http: aiohttp.ClientSession
    directory: Path
    environment: dict[str, str]
    serving: Child
    stack: AsyncExitStack
    shared: dict[str, Any] = field(default_factory=dict)
    """What several cases use, by name; it ends with ``stack``."""

    def serving_megabytes(self) -> float:
        """Return the resident memory of the proxy's process."""
        return megabytes(self.serving)

    async def send(self, method: str, url: str, body: bytes | None = None) -> bytes:
        """Send one JSON request and return the answer's body; anything but 200 ends the run."""
        headers = {"content-type": "application/json"}
        async with self.http.request(method, url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status != 200:
                message = f"{method} {url} answered {answer.status}: {content[:300]!r}"
                raise BenchFailed(message)
            return content

    async def vecferry(self, *arguments: str) -> None:
        """Run a command of the operator to its end."""
        process = await asyncio.create_subprocess_exec(
            *vecferry_command(),
            *arguments,
            env=clean_environment() | self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            log = (self.directory / "serve.log").read_text(errors="replace")[-1_000:]
            message = f"vecferry {' '.join(arguments)}: {output.decode()[-500:]}\nserve.log: {log}"
            raise BenchFailed(message)

    async def job_seconds(self, kind: str, collection: str) -> float:
        """Run a long job over the control API and return how long it took, without the command's own start."""
        began = time.perf_counter()
        await self.start_job(kind, collection)
        while True:
            job = await self.job(kind, collection)
            seconds = time.perf_counter() - began
            if job["state"] == "done":
                return seconds
            if job["state"] == "failed":
                message = f"{kind} of {collection}: {job['error']}"
                raise BenchFailed(message)
            # Answering takes the same process time from the job.
            await asyncio.sleep(min(_POLL_SECONDS + seconds / 100, _LONGEST_POLL_SECONDS))

    async def empty_target(self, collection: str) -> None:
        """Mirror a collection into empty tables: leaving ``off`` starts a new copy."""
        await self.vecferry("stage", "set", collection, "off")
        await self.vecferry("stage", "set", collection, "dualwrite")

    async def start_job(self, kind: str, collection: str) -> None:
        """Start a long job over the control API."""
        url, headers = self._job_address(kind, collection)
        async with self.http.post(url, json={}, headers=headers) as answer:
            answer.raise_for_status()

    async def job(self, kind: str, collection: str) -> dict[str, Any]:
        """Return what the control API says of the newest job."""
        url, headers = self._job_address(kind, collection)
        async with self.http.get(url, headers=headers) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = (await answer.json())["job"]
        return found

    def _job_address(self, kind: str, collection: str) -> tuple[str, dict[str, str]]:
        key = (self.directory / "vecferry" / "operator.key").read_text().strip()
        url = f"{self.control}/v1/control/collections/{collection}/{kind}"
        return url, {"authorization": f"Bearer {key}"}

    async def load(
        self, collection: str, count: int, *, seed: int, is_indexed: bool = True
    ) -> None:
        """Create a cosine collection with ``count`` points, written straight into Qdrant.

        Where nobody searches, Qdrant need not build an index beside what is measured.
        """
        path = f"{self.qdrant}/collections/{collection}"
        configuration: dict[str, Any] = {"vectors": {"size": DIMENSIONS, "distance": "Cosine"}}
        if not is_indexed:
            configuration["optimizers_config"] = {"indexing_threshold": 0}
        await self.send("PUT", path, orjson.dumps(configuration))
        for first in range(0, count, _SEED_POINTS):
            vectors = unit_vectors(min(_SEED_POINTS, count - first), seed=seed + first)
            for at in range(0, len(vectors), _LOAD_BATCH):
                batch = points(first + at, vectors[at : at + _LOAD_BATCH])
                await self.send("PUT", f"{path}/points?wait=true", upsert_body(batch))


def megabytes(child: Child) -> float:
    """Return the resident memory of a process (Linux)."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@asynccontextmanager
async def started(directory: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Rig]:
    """Start everything below ``directory``, yield when the proxy is ready, stop everything.

    ``settings`` go before those that all cases share.
    """
    qdrant_port, port, control_port = free_port(), free_port(), free_port()
    qdrant, proxy, control = (
        f"http://127.0.0.1:{number}" for number in (qdrant_port, port, control_port)
    )
    async with (
        aiohttp.ClientSession() as http,
        running("qdrant", _embedded(directory, "qdrant", qdrant_port), {}, directory) as engine,
        running("postgres", _embedded(directory, "postgres", free_port()), {}, directory) as target,
    ):
        await wait_for_url(engine, f"{qdrant}/collections")
        dsn = await wait_for_dsn(target)
        environment = {
            "VECFERRY_QDRANT_URL": qdrant,
            "VECFERRY_DATABASE_URL": dsn,
            "VECFERRY_PORT": str(port),
            "VECFERRY_CONTROL_PORT": str(control_port),
            "VECFERRY_DATA_DIR": str(directory / "vecferry"),
            "VECFERRY_SHADOW_SAMPLE_RATE": "0",
            "VECFERRY_VERIFY_POINTS_PER_SECOND": "0",
            # The index is a step after the copy; the peer of the backfill builds none either.
            "VECFERRY_INDEX_MIN_ROWS": "100000000",
            **(settings or {}),
        }
        async with (
            running("serve", ["serve"], environment, directory) as serving,
            AsyncExitStack() as stack,
        ):
            await wait_for_url(serving, f"{proxy}/readyz")
            yield Rig(qdrant, proxy, control, dsn, http, directory, environment, serving, stack)


def _embedded(directory: Path, engine: str, port: int) -> list[str]:
    return ["embedded", engine, "--data-dir", str(directory / engine), "--port", str(port)]
