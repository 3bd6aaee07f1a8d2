"""Long jobs of several collections, from start to end: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from service.cli.client import ControlClient
from service.errors import VecferryError

_POLL_SECONDS = 0.25

Done = tuple[int, int | None]
"""How many of how many, the latter if known."""

Job = dict[str, Any]
"""A job as the control API shows it: ``state``, and a ``result`` or an ``error`` at its end."""

_RESTARTED = "the instance restarted; run the command again"


def run(
    client: ControlClient,
    kind: str,
    names: Sequence[str],
    progress_of: Callable[[dict[str, Any]], Done],
    body: Mapping[str, object] | None = None,
) -> dict[str, Job]:
    """Start a job for every collection and wait for all of them; one that cannot be started has failed."""
    refused: dict[str, Job] = {}
    for name in names:
        try:
            client.start(kind, name, body)
        except VecferryError as error:
            refused[name] = _failed(str(error))
    started = [name for name in names if name not in refused]
    ended = refused | follow(client, kind, started, progress_of)
    return {name: ended[name] for name in names}


def follow(
    client: ControlClient,
    kind: str,
    names: Sequence[str],
    progress_of: Callable[[dict[str, Any]], Done],
) -> dict[str, Job]:
    """Poll until every started job has ended; return the jobs by collection."""
    ended: dict[str, Job] = {}
    with _bars() as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}
        while len(ended) < len(names):
            for name in names:
                if name in ended:
                    continue
                found = client.follow(kind, name)
                _show(bars, tasks[name], progress_of(found))
                # A job lives in the instance's memory: another process has never heard of it.
                job = found["job"] or _failed(_RESTARTED)
                if job["state"] != "running":
                    ended[name] = job
            if len(ended) < len(names):
                time.sleep(_POLL_SECONDS)
    return ended


def report(jobs: Mapping[str, Job], describe: Callable[[dict[str, Any]], str]) -> None:
    """Print a line per job; exit 1 when one failed."""
    failed = [name for name, job in jobs.items() if job["error"]]
    for name, job in jobs.items():
        if job["error"]:
            typer.secho(f"{name}: failed: {job['error']}", fg="red", err=True)
        else:
            typer.echo(f"{name}: {describe(job['result'])}")
    if failed:
        raise typer.Exit(1)


def _failed(error: str) -> Job:
    return {"state": "failed", "result": None, "error": error}


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    )  # fmt: skip


def _show(bars: Progress, task: TaskID, done: Done) -> None:
    bars.update(task, completed=done[0], total=done[1])
