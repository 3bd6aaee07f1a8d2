"""Tests of the child processes, with stand-ins for vecferry."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests import processes
from tests.processes import Child, ChildFailed, free_port, running, wait_for_output, watch

StandIn = Callable[[str], None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Replace vecferry by Python source."""

    def replace(source: str) -> None:
        monkeypatch.setattr(processes, "vecferry_command", lambda: [sys.executable, "-uc", source])

    return replace


async def test_output_goes_to_the_log_and_is_waited_for(stand_in: StandIn, tmp_path: Path) -> None:
    """The address that a server prints is found."""
    stand_in("import time; print('at postgresql://u@h/db now'); time.sleep(60)")
    async with running("postgres", [], {}, tmp_path) as child:
        assert (
            await wait_for_output(child, re.compile(r"postgresql://\S+")) == "postgresql://u@h/db"
        )
    assert child.process.returncode is not None
    assert "postgresql://" in (tmp_path / "postgres.log").read_text()


async def test_a_child_that_ends_early_shows_its_log(stand_in: StandIn, tmp_path: Path) -> None:
    """Nobody waits a minute for a process that is dead."""
    stand_in("import sys; print('port in use'); sys.exit(3)")
    with pytest.raises(ChildFailed, match=r"(?s)qdrant ended with 3.*port in use"):
        async with running("qdrant", [], {}, tmp_path) as child:
            await wait_for_output(child, re.compile("never"))


async def test_a_child_that_dies_later_is_noticed(stand_in: StandIn, tmp_path: Path) -> None:
    """The watcher raises as soon as the process is gone."""
    stand_in("import time; time.sleep(0.2)")
    async with running("vecferry", [], {}, tmp_path) as child:
        with pytest.raises(ChildFailed, match="ended with 0 while"):
            await asyncio.wait_for(watch(child), 10)


async def test_a_child_that_ignores_sigterm_is_killed_with_its_children(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the group stays behind."""
    monkeypatch.setattr(processes, "_STOP_SECONDS", 0.3)
    stand_in(
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); pid = os.fork();"
        " print(f'child {pid}.' if pid else ''); time.sleep(60)"
    )
    async with running("stubborn", [], {}, tmp_path) as child:
        printed = await wait_for_output(child, re.compile(r"child \d+\."))
    assert child.process.returncode == -9
    for _ in range(100):
        if not _lives(int(printed[6:-1])):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the child's child is still running")


def _lives(pid: int) -> bool:
    """Say whether a process runs; one that nobody has reaped yet does not."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()[:1] not in {"", "Z"}


async def test_readiness_is_an_answer_of_200(stand_in: StandIn, tmp_path: Path) -> None:
    """A server that is there but not ready is waited for."""
    codes = iter([503, 200])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(next(codes))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base's name)
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", free_port()), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        stand_in("import time; time.sleep(60)")
        async with running("proxy", [], {}, tmp_path) as child:
            assert isinstance(child, Child)
            await processes.wait_for_url(child, f"http://127.0.0.1:{server.server_port}/readyz")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert next(codes, None) is None
