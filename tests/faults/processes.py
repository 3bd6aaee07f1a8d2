"""A Python module as a process of its own session, to be killed, stopped and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.processes import ChildFailed, clean_environment

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_TAIL_LINES = 25


class Managed:
    """``python -m <module> <arguments>``; its output is appended to ``log``."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.log = log
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it lives; also while it is stopped."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=clean_environment() | dict(self._environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to it and everything that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def kill(self) -> None:
        """End it and everything that it started, at once."""
        self.signal_all(signal.SIGKILL)
        await self.ended()

    async def stop(self) -> None:
        """End it as an operator would, and in any case."""
        if self._process is not None and self.is_running:
            self.signal_all(signal.SIGCONT)
            self._process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended(), _STOP_SECONDS)
        await self.kill()

    async def ended(self) -> None:
        """Wait until it has ended."""
        while self.is_running:  # noqa: ASYNC110 - a process of another session is only to be asked
            await asyncio.sleep(_POLL_SECONDS)

    async def answers(self, http: aiohttp.ClientSession, url: str) -> None:
        """Wait until ``url`` answers 200. Raises ``ChildFailed``."""
        for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
            if not self.is_running:
                raise self.failed("ended")
            with suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(url, timeout=aiohttp.ClientTimeout(5)) as answer:
                    if answer.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(_POLL_SECONDS)
        raise self.failed(f"did not answer at {url}")

    def failed(self, reason: str) -> ChildFailed:
        """Return the error that shows the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return ChildFailed("\n".join((f"{self.log.stem} {reason}; see {self.log}", *lines)))
