"""The system under test: both engines and the proxy, each a process of its own, on loopback.

The engines are the embedded ones, started by the same commands an operator would use.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

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
_LOAD_BATCH = 500


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
        """Return the resident memory of the proxy's process (Linux)."""
        status = Path(f"/proc/{self.serving.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

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
        key = (self.directory / "vecferry" / "operator.key").read_text().strip()
        url = f"{self.control}/v1/control/collections/{collection}/{kind}"
        headers = {"authorization": f"Bearer {key}"}
        began = time.perf_counter()
        async with self.http.post(url, json={}, headers=headers) as answer:
            answer.raise_for_status()
        while True:
            async with self.http.get(url, headers=headers) as answer:
                job = (await answer.json())["job"]
            if job["state"] == "done":
                return time.perf_counter() - began
            if job["state"] == "failed":
                message = f"{kind} of {collection}: {job['error']}"
                raise BenchFailed(message)
            await asyncio.sleep(_POLL_SECONDS)

    async def load(self, collection: str, count: int, *, seed: int) -> None:
        """Create a cosine collection with ``count`` points, written straight into Qdrant."""
        path = f"{self.qdrant}/collections/{collection}"
        size = b'{"vectors":{"size":%d,"distance":"Cosine"}}' % DIMENSIONS
        await self.send("PUT", path, size)
        vectors = unit_vectors(count, seed=seed)
        for first in range(0, count, _LOAD_BATCH):
            batch = points(first, vectors[first : first + _LOAD_BATCH])
            await self.send("PUT", f"{path}/points?wait=true", upsert_body(batch))


@asynccontextmanager
async def started(directory: Path) -> AsyncIterator[Rig]:
    """Start everything below ``directory``, yield when the proxy is ready, stop everything."""
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
        }
        async with (
            running("serve", ["serve"], environment, directory) as serving,
            AsyncExitStack() as stack,
        ):
            await wait_for_url(serving, f"{proxy}/readyz")
            yield Rig(qdrant, proxy, control, dsn, http, directory, environment, serving, stack)


def _embedded(directory: Path, engine: str, port: int) -> list[str]:
    return ["embedded", engine, "--data-dir", str(directory / engine), "--port", str(port)]
