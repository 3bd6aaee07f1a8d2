"""vecferry's commands as child processes: with a log file each, watched, always cleaned up."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.1
_TAIL_LINES = 25


_DSN = re.compile(r"postgres(?:ql)?://\S+")


class ChildFailed(Exception):
    """A child process ended or did not become ready; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process and where its output goes."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def failed(self, reason: str) -> ChildFailed:
        """Return the error that shows the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return ChildFailed("\n".join((f"{self.name} {reason}; see {self.log}", *lines)))

    async def stop(self) -> None:
        """Ask the process to end, and make it end when it does not."""
        if self.process.returncode is None:
            _signal_group(self.process.pid, signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
        # The group may outlive its leader; nothing of it may stay behind.
        _signal_group(self.process.pid, signal.SIGKILL)
        await self.process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def vecferry_command() -> list[str]:
    """Return how to run vecferry: the script beside this Python, or else the module."""
    script = Path(sys.executable).with_name("vecferry")
    return [str(script)] if script.exists() else [sys.executable, "-m", "service"]


def clean_environment() -> dict[str, str]:
    """Return our environment without ``VECFERRY_*``: the reader's own settings are not the run's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VECFERRY_")}


def free_port() -> int:
    """Return a port of the loopback interface that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    name: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    logs: Path,
    *,
    command: Sequence[str] | None = None,
) -> AsyncIterator[Child]:
    """Run ``vecferry <arguments>``, or another command, inside the block, in a session that Ctrl-C does not reach."""
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(vecferry_command() if command is None else command),
            *arguments,
            env=clean_environment() | dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    child = Child(name, process, log)
    try:
        yield child
    finally:
        await asyncio.shield(child.stop())


async def wait_for_url(child: Child, url: str) -> None:
    """Wait until ``url`` answers 200. Raises ``ChildFailed``."""
    async with httpx.AsyncClient() as client:

        async def is_ready() -> bool:
            with suppress(httpx.TransportError):
                return (await client.get(url)).status_code == httpx.codes.OK
            return False

        await _wait_until(child, is_ready, f"answer at {url}")


async def wait_for_output(child: Child, pattern: re.Pattern[str]) -> str:
    """Wait until the log matches and return the match. Raises ``ChildFailed``."""

    async def has_printed() -> bool:
        return pattern.search(child.log.read_text(errors="replace")) is not None

    await _wait_until(child, has_printed, f"print {pattern.pattern}")
    found = pattern.search(child.log.read_text(errors="replace"))
    assert found is not None
    return found[0]


async def wait_for_dsn(child: Child) -> str:
    """Wait until an embedded Postgres has printed its address. Raises ``ChildFailed``."""
    return await wait_for_output(child, _DSN)


async def _wait_until(child: Child, probe: Callable[[], Awaitable[bool]], what: str) -> None:
    for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
        if child.process.returncode is not None:
            raise child.failed(f"ended with {child.process.returncode}")
        if await probe():
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise child.failed(f"did not {what} within {_START_SECONDS:.0f} s")


async def watch(child: Child) -> None:
    """Raise ``ChildFailed`` when the process ends; for a task that is cancelled before it may."""
    code = await child.process.wait()
    raise child.failed(f"ended with {code} while it was needed")
