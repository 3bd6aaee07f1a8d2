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
from rich.progress import Progress, TaskID

from service.cli.bars import bars_on
from service.cli.client import ControlClient
from service.cli.rendering import Job, beside_bar, line
from service.errors import StageError, VecferryError

_POLL_SECONDS = 0.25
_LINE_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0
"""How long an instance that does not answer is waited for: its job is stored, a restart does not end it."""

Which = tuple[str, str]
"""A job's kind and its collection."""

_GONE = "the collection was dropped, and the job with it"


class Display(Protocol):
    """Shows jobs as they go on."""

    def show(self, name: str, job: Job) -> None:
        """Show a job as it is now, under a name of its own."""
        ...


class Lines:
    """A line per job every few seconds and whenever its state changes."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, tuple[object, ...]]] = {}

    def show(self, name: str, job: Job) -> None:
        """Print a line if it is time for one."""
        now, state = self._clock(), (job["phase"], job["options"]["paused"])
        shown_at, shown = self._last.get(name, (-_LINE_SECONDS, ()))
        if job["state"] == "running" and (state != shown or now - shown_at >= _LINE_SECONDS):
            self._last[name] = now, state
            typer.echo(f"{name}: {line(job)}", err=True)


class Bars:
    """A bar per job."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, name: str, job: Job) -> None:
        """Move the job's bar."""
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
    followed = follow(client, [(kind, name) for name in names if name not in ended])
    ended |= {name: job for (_, name), job in followed.items()}
    return {name: ended[name] for name in names}


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


def follow(client: ControlClient, wanted: Sequence[Which]) -> dict[Which, Job]:
    """Poll until the newest job of every kind and collection named has ended; return them as they ended.

    All are shown at once. Ctrl-C leaves the jobs alone, says how to follow them, and is raised.
    """
    ended: dict[Which, Job] = {}
    names, kind = names_of(wanted), _only_kind(wanted)
    display, shown = _display()
    try:
        with shown:
            while left := [each for each in wanted if each not in ended]:
                found = {(job["kind"], job["collection"]): job for job in _patiently(client, kind)}
                for each in left:
                    job = found.get(each) or _failed(_GONE)
                    if each in found:
                        display.show(names[each], job)
                    if job["state"] != "running":
                        ended[each] = _with_result(client, job)
                if len(ended) < len(wanted):
                    time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        left = [each for each in wanted if each not in ended]
        for one in sorted({of for of, _ in left}):
            typer.echo(how_to_follow(one, [name for of, name in left if of == one]), err=True)
        raise
    return ended


def names_of(wanted: Sequence[Which]) -> dict[Which, str]:
    """Return what to call each job: its collection, and its kind where there are several."""
    is_one_kind = _only_kind(wanted) is not None
    return {(kind, name): name if is_one_kind else f"{name} {kind}" for kind, name in wanted}


def _only_kind(wanted: Sequence[Which]) -> str | None:
    kinds = {kind for kind, _ in wanted}
    return kinds.pop() if len(kinds) == 1 else None


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


def _patiently(client: ControlClient, kind: str | None) -> list[Job]:
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


def _with_result(client: ControlClient, job: Job) -> Job:
    """Return the job as it ended: lists leave results out, because a receipt is long."""
    if job["state"] != "done":
        return job
    found = client.follow(job["kind"], job["collection"])["job"]
    return job if found is None else dict(found)


def _failed(error: str) -> Job:
    return {"state": "failed", "result": None, "error": error}


def _display() -> tuple[Display, AbstractContextManager[object]]:
    if not sys.stderr.isatty():
        return Lines(), nullcontext()
    bars = bars_on(Console(stderr=True))
    return Bars(bars), bars
