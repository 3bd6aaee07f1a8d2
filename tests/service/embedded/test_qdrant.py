"""The embedded Qdrant as a process: it answers Qdrant's own client and never outlives its parent."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models

from service.embedded.qdrant import EmbeddedQdrant
from service.errors import ConfigurationError
from service.stores.edge.processes import child_environment

_PARENT = """
import asyncio, os, sys
from pathlib import Path
from service.embedded.qdrant import EmbeddedQdrant

async def main():
    server = EmbeddedQdrant(Path(sys.argv[1]))
    await server.start()
    print("pid", server._process.pid, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedQdrant]:
    """A running server."""
    async with EmbeddedQdrant(tmp_path) as running:
        yield running


async def test_the_official_client_works_and_a_restart_keeps_the_points(
    server: EmbeddedQdrant, tmp_path: Path
) -> None:
    """A point written by ``qdrant-client`` is found by it, also after the server was stopped and started."""
    client = AsyncQdrantClient(server.url, check_compatibility=False)
    await client.create_collection(
        "c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT)
    )
    await client.upsert("c", [models.PointStruct(id=1, vector=[1.0, 2.0], payload={"a": True})])
    await client.close()
    await server.stop()
    again = AsyncQdrantClient(await server.start(), check_compatibility=False)
    (hit,) = (await again.query_points("c", query=[1.0, 1.0])).points
    assert (hit.id, hit.score, hit.payload) == (1, 3.0, {"a": True})
    await again.close()


async def test_its_end_is_noticed(server: EmbeddedQdrant) -> None:
    """Whoever waits is told when the server ends; a termination signal ends it cleanly."""
    assert server._process is not None
    os.kill(server._process.pid, signal.SIGTERM)
    async with asyncio.timeout(30):
        assert await server.wait() == 0


async def test_a_taken_port_is_the_operators_mistake(tmp_path: Path) -> None:
    """The error names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            await EmbeddedQdrant(tmp_path, port=port).start()


async def test_without_the_engine_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra and the setting that replaces it are named."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"VECFERRY_QDRANT_URL.*extra `embedded`"):
        await EmbeddedQdrant(tmp_path).start()


def test_it_is_importable_without_the_engine() -> None:
    """An installation without the extra can still import what starts the engines."""
    code = "import sys; sys.modules['qdrant_edge'] = None; import service.embedded.qdrant"
    subprocess.run([sys.executable, "-c", code], check=True, env=child_environment())


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent ends the server and its engine processes, and the directory is free again."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    )
    assert parent.stdout is not None
    try:
        said = next(line for line in parent.stdout if line.startswith("pid "))
        pid = int(said.split()[1])
        children = _group(pid)
        assert len(children) == 3
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()

    async def reopen() -> None:
        # Locked until the server and both engine processes have ended.
        async with EmbeddedQdrant(tmp_path):
            async with asyncio.timeout(10):
                while children & _group(pid):  # the lock goes a moment before the process  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

    asyncio.run(reopen())


def _group(leader: int) -> set[int]:
    """Return the processes of the server's session that run; nobody may have collected the ended ones."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-s", str(leader)], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid) for pid, state in rows if not state.startswith("Z")}
