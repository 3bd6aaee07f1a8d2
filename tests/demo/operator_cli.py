"""The operator: runs vecferry's command line as a person would, and reads its status."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.failures import DemoFailed
from tests.processes import clean_environment, vecferry_command

_COMMAND_SECONDS = 180.0
_POLL_SECONDS = 0.5


class CommandFailed(DemoFailed):
    """A command exited with an error; the text has what it printed."""


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """What ``vecferry status --json`` says of one collection, as far as the demo needs it."""

    name: str
    stage: str
    ledger: int
    samples: int
    overlap: float


def parse_status(text: str) -> list[CollectionStatus]:
    """Read the status document. Raises ``KeyError`` or ``ValueError`` for another form."""
    return [_collection(entry) for entry in json.loads(text)["collections"]]


def _collection(entry: dict[str, Any]) -> CollectionStatus:
    parity = entry["parity"] or {"samples": 0, "overlap": 0.0}
    return CollectionStatus(
        name=entry["name"],
        stage=entry["stage"],
        ledger=entry["ledger"],
        samples=parity["samples"],
        overlap=parity["overlap"],
    )


def receipt_line(text: str) -> str:
    """Return the figures of a receipt, read from its document."""
    receipt = json.loads(text)
    digest = receipt["digest"]
    return (
        f"receipt of {receipt['collection']}: {'clean' if receipt['clean'] else 'NOT CLEAN'}, "
        f"{receipt['compared']:,} points compared, {digest['points']:,} agreed at first sight, "
        f"digest {digest['source']['content'][:16]} = {digest['target']['content'][:16]}"
    )


def mean_parity(collections: Sequence[CollectionStatus]) -> float | None:
    """Return the overlap over all samples; none before the first."""
    samples = sum(collection.samples for collection in collections)
    if not samples:
        return None
    return sum(entry.overlap * entry.samples for entry in collections) / samples


class Operator:
    """Runs ``vecferry`` with the environment that finds the instance, and logs what it prints."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = clean_environment() | dict(environment)
        self._log = log

    async def run(self, *arguments: str) -> str:
        """Run one command to its end and return what it printed. Raises ``CommandFailed``."""
        process = await asyncio.create_subprocess_exec(
            *vecferry_command(),
            *arguments,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        command = " ".join(("vecferry", *arguments))
        start = time.monotonic()
        try:
            async with asyncio.timeout(_COMMAND_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            message = f"{command}: no end within {_COMMAND_SECONDS:.0f} s"
            raise CommandFailed(message) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        printed = (output + errors).decode(errors="replace").strip()
        with self._log.open("a") as log:
            log.write(f"$ {command}  # {time.monotonic() - start:.1f} s\n{printed}\n")
        if process.returncode:
            message = f"{command}: exit code {process.returncode}\n{printed}"
            raise CommandFailed(message)
        return output.decode()

    async def status(self) -> list[CollectionStatus]:
        """Return every collection's state."""
        return parse_status(await self.run("status", "--json"))

    async def receipt(self, collection: str) -> str:
        """Return the figures of the newest verification's receipt. Raises ``CommandFailed`` when it is not clean."""
        return receipt_line(await self.run("receipt", "show", collection, "--json"))

    async def wait_for_empty_ledger(self, seconds: float) -> None:
        """Wait until no collection owes anything. Raises ``CommandFailed``."""
        for _ in range(int(seconds / _POLL_SECONDS)):
            if not any(collection.ledger for collection in await self.status()):
                return
            await asyncio.sleep(_POLL_SECONDS)
        message = f"the ledger is not empty, {seconds:.0f} s after the last write"
        raise CommandFailed(message)
