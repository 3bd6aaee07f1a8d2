"""Long jobs from start to end: bars on a terminal, plain lines elsewhere; both on standard error.

Jobs are stored: who stops following ends nothing.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from service.cli.client import ControlClient
from service.cli.rendering import Job, beside_bar, line
from service.errors import StageError, VecferryError

_POLL_SECONDS = 0.25
_LINE_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0
"""How long an instance that does not answer is waited for: its job is stored, a restart does not end it."""

_GONE = "the collection was dropped, and the job with it"


class Display(Protocol):
    """Shows jobs as they go on."""

    def show(self, job: Job) -> None:
        """Show a job as it is now."""
        ...


class Lines:
    """A line per job every few seconds and whenever its state changes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, tuple[object, ...]]] = {}

    def show(self, job: Job) -> None:
        """Print a line if it is time for one."""
        now, state = self._clock(), (job["phase"], job["options"]["paused"])
        shown_at, shown = self._last.get(job["collection"], (-_LINE_SECONDS, ()))
        if job["state"] == "running" and (state != shown or now - shown_at >= _LINE_SECONDS):
            self._last[job["collection"]] = now, state
            typer.echo(f"{job['collection']}: {line(job)}", err=True)


class Bars:
    """A bar per job."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, job: Job) -> None:
        """Move the job's bar."""
        name = job["collection"]
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=None, text="")
        total = job["total"] or None
        self._bars.update(
            self._tasks[name], completed=job["scanned"], total=total, text=beside_bar(job)
        )


def run(
    client: ControlClient, kind: str, names: Sequence[str], body: Mapping[str, object]
) -> dict[str, Job]:
    """Start a job for every collection and follow all of them to their ends."""
    started = start(client, kind, names, body)
    ended = {name: job for name, job in started.items() if job["state"] != "running"}
    followed = follow(client, kind, [name for name in names if name not in ended])
    return {name: (ended | followed)[name] for name in names}


def start(
    client: ControlClient, kind: str, names: Sequence[str], body: Mapping[str, object]
) -> dict[str, Job]:
    """Start a job for every collection; one that cannot be started has failed with the reason."""
    jobs: dict[str, Job] = {}
    for name in names:
        try:
            jobs[name] = client.start(kind, name, body)
        except VecferryError as error:
            jobs[name] = _failed(str(error))
        else:
            jobs[name]["was_done"] = jobs[name]["state"] == "done"
    return jobs


def follow(client: ControlClient, kind: str, names: Sequence[str]) -> dict[str, Job]:
    """Poll until the newest job of every collection has ended; return the jobs by collection.

    Ctrl-C leaves the jobs alone, says how to follow them, and is raised.
    """
    ended: dict[str, Job] = {}
    display, shown = _display()
    try:
        with shown:
            while left := [name for name in names if name not in ended]:
                found = {job["collection"]: job for job in _patiently(client, kind)}
                for name in left:
                    job = found.get(name) or _failed(_GONE)
                    if name in found:
                        display.show(job)
                    if job["state"] != "running":
                        ended[name] = _with_result(client, kind, job)
                if len(ended) < len(names):
                    time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        left = [name for name in names if name not in ended]
        typer.echo(how_to_follow(kind, left), err=True)
        raise
    return ended


def how_to_follow(kind: str, names: Sequence[str]) -> str:
    """Return what to say of jobs that go on while nobody looks."""
    what = f"{kind} of {len(names)} collection(s)"
    return f"{what} goes on; follow it with `vecferry jobs watch {_which(kind, names)}`"


def how_to_resume(kind: str, names: Sequence[str]) -> str:
    """Return what to say of jobs that were made paused."""
    what = f"{kind} of {len(names)} collection(s)"
    return f"{what} is paused; begin with `vecferry jobs resume {_which(kind, names)}`"


def _which(kind: str, names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"'*' --kind {kind}"


def report(jobs: Iterable[tuple[str, Job]], describe: Callable[[Job], str]) -> None:
    """Print a line per job; exit 1 when one has not come to a good end."""
    bad = 0
    for name, job in jobs:
        if job["state"] in {"failed", "cancelled"}:
            bad += 1
            reason = f": {job['error']}" if job["error"] else ""
            typer.secho(f"{name}: {job['state']}{reason}", fg="red", err=True)
        else:
            typer.echo(f"{name}: {describe(job)}")
    if bad:
        raise typer.Exit(1)


def _patiently(client: ControlClient, kind: str) -> list[Job]:
    """Ask for the jobs; an instance that is restarted, or has lost its database, is waited for."""
    deadline, is_told = time.monotonic() + _PATIENCE_SECONDS, False
    while True:
        try:
            return client.jobs("*", kind)
        except StageError:
            raise
        except VecferryError as error:
            if time.monotonic() > deadline:
                raise
            if not is_told:
                typer.echo(f"waiting for the instance: {error}", err=True)
            is_told = True
            time.sleep(_POLL_SECONDS)


def _with_result(client: ControlClient, kind: str, job: Job) -> Job:
    """Return the job as it ended: lists leave results out, because a receipt is long."""
    if job["state"] != "done":
        return job
    found = client.follow(kind, job["collection"])["job"]
    return job if found is None else dict(found)


def _failed(error: str) -> Job:
    return {"state": "failed", "result": None, "error": error}


def bars_on(console: Console) -> Progress:
    """Return the bars, to be entered as long as they are shown."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
    )


def _display() -> tuple[Display, AbstractContextManager[object]]:
    if not sys.stderr.isatty():
        return Lines(), nullcontext()
    bars = bars_on(Console(stderr=True))
    return Bars(bars), bars
