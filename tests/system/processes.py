"""vecferry and the engines as processes of their own, to be killed, stopped and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from service import config
from service.cli.client import ControlClient
from service.keys import read
from tests.processes import clean_environment, free_port

_START_SECONDS = 90.0
_STOP_SECONDS = 30.0


def until(question: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
    """Poll until the answer is yes."""
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Say whether ``url`` answers 200."""
    try:
        return httpx.get(url, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@dataclass(slots=True)
class Child:
    """``vecferry <arguments>``; its output goes to ``log``."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", *self.arguments],
                env={**clean_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it and everything it started, at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):  # it has ended, and everything that it started
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(_STOP_SECONDS)

    def stop(self) -> int:
        """End it as an operator would; returns its exit status."""
        assert self.process is not None
        self.send(signal.SIGTERM)
        return self.process.wait(_STOP_SECONDS)


@dataclass(slots=True)
class Proxy:
    """A running ``vecferry serve``."""

    child: Child
    url: str
    control_port: int
    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def control(self) -> ControlClient:
        """The operator's side of it."""
        return ControlClient(f"http://127.0.0.1:{self.control_port}", read(self.data_dir))

    def ready(self) -> None:
        """Wait until it serves."""
        until(lambda: answers(f"{self.url}/readyz"), f"{self.url}/readyz; see {self.child.log}")

    def collection(self, name: str) -> dict[str, Any]:
        """Return the collection's status."""
        found: list[dict[str, Any]] = self.control.status()["collections"]
        return next(entry for entry in found if entry["name"] == name)

    def to_stage(self, name: str, *stages: str, percent: int = 100) -> None:
        """Walk a collection through stages."""
        for stage in stages:
            self.control.set_stage(name, stage, percent if stage == "ramp" else None)

    def backfill(self, name: str) -> dict[str, Any]:
        """Copy a collection and wait until it is done."""
        return self._job("backfill", name, {})

    def verify(self, name: str) -> dict[str, Any]:
        """Compare a collection and return the receipt."""
        return self._job("verify", name, {})

    def mirrored(self, name: str, *stages: str) -> None:
        """Bring a collection from ``off`` through dualwrite and backfill to the last of ``stages``."""
        self.to_stage(name, "dualwrite")
        self.backfill(name)
        self.to_stage(name, *stages)

    def ledger_empties(self, name: str, seconds: float = 60.0) -> None:
        """Wait until nothing is owed."""
        until(lambda: self.collection(name)["ledger"] == 0, "an empty ledger", seconds)

    def _job(self, kind: str, name: str, body: dict[str, object]) -> dict[str, Any]:
        self.control.start(kind, name, body)
        until(lambda: self.control.follow(kind, name)["job"]["state"] != "running", kind)
        job = self.control.follow(kind, name)["job"]
        assert job["state"] == "done", job
        result: dict[str, Any] = job["result"]
        return result


@contextmanager
def proxy(
    directory: Path, *, qdrant: str | None, database: str, **settings: str
) -> Iterator[Proxy]:
    """Run a proxy between two stores; ``settings`` are names without the prefix, in lower case."""
    directory.mkdir(parents=True, exist_ok=True)
    port, control_port = free_port(), free_port()
    given = {
        "database_url": database,
        "port": str(port),
        "control_port": str(control_port),
        "data_dir": str(directory),
        "shadow_sample_rate": "1",
        **({} if qdrant is None else {"qdrant_url": qdrant}),
        **settings,
    }
    environment = {f"{config.PREFIX}{name.upper()}": value for name, value in given.items()}
    child = Child(("serve",), environment, directory / "serve.log")
    running = Proxy(child, f"http://127.0.0.1:{port}", control_port, directory, environment)
    child.start()
    try:
        running.ready()
        yield running
    finally:
        child.kill()


@contextmanager
def own_qdrant(directory: Path) -> Iterator[tuple[Child, str]]:
    """Run an embedded Qdrant that the test may kill and start again."""
    directory.mkdir(parents=True, exist_ok=True)
    port = str(free_port())
    arguments = ("embedded", "qdrant", "--data-dir", str(directory), "--port", port)
    child = Child(arguments, {}, directory / "server.log")
    url = f"http://127.0.0.1:{port}"
    child.start()
    try:
        until(lambda: answers(f"{url}/readyz"), f"{url}/readyz; see {child.log}")
        yield child, url
    finally:
        child.kill()


@contextmanager
def own_postgres() -> Iterator[tuple[Child, str]]:
    """Run an embedded Postgres that the test may kill and start again on the same port."""
    port = str(free_port())
    with TemporaryDirectory(prefix="vecferry-postgres-") as name:
        directory = Path(name)
        data_dir = str(directory / "data")
        arguments = ("embedded", "postgres", "--data-dir", data_dir, "--port", port)
        child = Child(arguments, {}, directory / "server.log")
        child.start()
        try:
            until(lambda: "postgresql://" in child.log.read_text(), "the DSN")
            yield (
                child,
                child.log.read_text().partition("postgresql://")[1]
                + (child.log.read_text().partition("postgresql://")[2].split()[0]),
            )
        finally:
            child.stop()
