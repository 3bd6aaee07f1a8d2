"""The system under test: both engines and the proxy, each a process of its own, on loopback.

The engines are the embedded ones, started by the same commands an operator would use.
"""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.bench.data import DIMENSIONS, points, unit_vectors, upsert_body

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_LOAD_BATCH = 500
_VECFERRY = Path(sys.executable).with_name("vecferry")


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
            _VECFERRY,
            *arguments,
            env=os.environ | self.environment,
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
            await asyncio.sleep(_POLL_SECONDS / 5)

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
async def running(directory: Path) -> AsyncIterator[Rig]:
    """Start everything below ``directory``, yield when the proxy is ready, stop everything."""
    ports = _free_ports(4)
    qdrant = f"http://127.0.0.1:{ports[0]}"
    proxy = f"http://127.0.0.1:{ports[2]}"
    async with (
        aiohttp.ClientSession() as http,
        _child(directory, "qdrant", _embedded(directory, "qdrant", ports[0])) as qdrant_child,
        _child(directory, "postgres", _embedded(directory, "postgres", ports[1])) as postgres_child,
    ):
        await _until(lambda: _answers(http, f"{qdrant}/collections"), qdrant_child)
        await _until(lambda: _dsn_of(postgres_child), postgres_child)
        dsn = await _dsn_of(postgres_child)
        environment = {
            "VECFERRY_QDRANT_URL": qdrant,
            "VECFERRY_DATABASE_URL": dsn,
            "VECFERRY_PORT": str(ports[2]),
            "VECFERRY_CONTROL_PORT": str(ports[3]),
            "VECFERRY_DATA_DIR": str(directory / "vecferry"),
            "VECFERRY_SHADOW_SAMPLE_RATE": "0",
            # The index is a step after the copy; the peer of the backfill builds none either.
            "VECFERRY_INDEX_MIN_ROWS": "100000000",
        }
        async with _child(directory, "serve", ("serve",), environment) as serve_child:
            await _until(lambda: _answers(http, f"{proxy}/readyz"), serve_child)
            control = f"http://127.0.0.1:{ports[3]}"
            yield Rig(qdrant, proxy, control, dsn, http, directory, environment)


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-1_000:]


@asynccontextmanager
async def _child(
    directory: Path,
    name: str,
    arguments: tuple[str, ...],
    environment: dict[str, str] | None = None,
) -> AsyncIterator[_Child]:
    path = directory / f"{name}.log"
    with path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            _VECFERRY,
            *arguments,
            env=os.environ | (environment or {}),
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        yield _Child(name, process, path)
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _until(ready: Callable[[], Awaitable[object]], child: _Child) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not await ready():
                if child.process.returncode is not None:
                    message = f"{child.name} ended at start: {child.tail()}"
                    raise BenchFailed(message)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        message = f"{child.name} was not ready after {_START_SECONDS:.0f} s: {child.tail()}"
        raise BenchFailed(message) from None


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _dsn_of(child: _Child) -> str:
    found = re.search(r"postgres(ql)?://\S+", child.log.read_text(errors="replace"))
    return found.group() if found else ""


def _embedded(directory: Path, engine: str, port: int) -> tuple[str, ...]:
    return ("embedded", engine, "--data-dir", str(directory / engine), "--port", str(port))


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
