"""Following long jobs of several collections: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Sequence
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

_POLL_SECONDS = 0.25

Done = tuple[int, int | None]
"""How many of how many, the latter if known."""


def follow(
    client: ControlClient,
    kind: str,
    names: Sequence[str],
    progress_of: Callable[[dict[str, Any]], Done],
) -> dict[str, dict[str, Any]]:
    """Poll until every job has ended; return the jobs by collection."""
    ended: dict[str, dict[str, Any]] = {}
    with _bars() as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}
        while len(ended) < len(names):
            for name in names:
                if name in ended:
                    continue
                found = client.follow(kind, name)
                _show(bars, tasks[name], progress_of(found))
                if found["job"] is not None and found["job"]["state"] != "running":
                    ended[name] = found["job"]
            if len(ended) < len(names):
                time.sleep(_POLL_SECONDS)
    return ended


def report(jobs: dict[str, dict[str, Any]], describe: Callable[[dict[str, Any]], str]) -> None:
    """Print a line per job; exit 1 when one failed."""
    failed = [name for name, job in jobs.items() if job["error"]]
    for name, job in jobs.items():
        if job["error"]:
            typer.secho(f"{name}: failed: {job['error']}", fg="red", err=True)
        else:
            typer.echo(f"{name}: {describe(job['result'])}")
    if failed:
        raise typer.Exit(1)


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    )  # fmt: skip


def _show(bars: Progress, task: TaskID, done: Done) -> None:
    bars.update(task, completed=done[0], total=done[1])
