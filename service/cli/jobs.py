"""``vecferry jobs``: backfills and verifications while they run, from wherever they were started."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer
from rich.table import Table

from service.cli.client import ControlClient
from service.cli.following import follow, report
from service.cli.options import AsJson, Kind, PageBytes, PointsPerSecond, Workers
from service.cli.rendering import Job, duration, line, points, speed, state, time_left, waiting
from service.cli.stage import Pattern
from service.cli.tables import show
from service.errors import StageError, VecferryError

app = typer.Typer(
    no_args_is_help=True, help="Follow, pause, tune and end backfills and verifications."
)


@app.command("list")
def list_jobs(pattern: Pattern = "*", kind: Kind = None, as_json: AsJson = False) -> None:
    """Show the newest backfill and verification of every collection."""
    jobs = ControlClient.from_settings().jobs(pattern, kind)
    if as_json:
        typer.echo(json.dumps(jobs))
        return
    if not jobs:
        typer.echo("there are no jobs: `vecferry backfill` and `vecferry verify` make them")
        return
    table = Table()
    for heading in (
        "collection",
        "kind",
        "state",
        "points",
        "points/s",
        "left",
        "workers",
        "waits for",
    ):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        table.add_row(
            job["collection"], job["kind"], state(job), points(job), speed(job), time_left(job),
            str(job["workers"]) if job["state"] == "running" else "", waiting(job),
        )  # fmt: skip
    show(table)


@app.command("show")
def show_jobs(pattern: Pattern, kind: Kind = None, as_json: AsJson = False) -> None:
    """Show jobs with everything that is known of them."""
    client = ControlClient.from_settings()
    found = _matching(client, pattern, kind)
    jobs = [client.follow(job["kind"], job["collection"])["job"] for job in found]
    if as_json:
        typer.echo(json.dumps(jobs))
        return
    for job in jobs:
        typer.echo(f"{job['collection']} {job['kind']} ({job['id']}): {line(job)}")
        typer.echo(f"  began {job['created_at']}, {duration(job['elapsed_seconds'])} in all")
        limits = {name: value for name, value in job["options"].items() if name != "paused"}
        for name, value in limits.items():
            typer.echo(f"  {_spelled(name)}: {'not set' if value is None else value}")


@app.command("watch")
def watch(pattern: Pattern = "*", kind: Kind = None) -> None:
    """Follow open jobs until they end; Ctrl-C leaves them running."""
    client = ControlClient.from_settings()
    open_jobs = [job for job in client.jobs(pattern, kind) if job["state"] == "running"]
    if not open_jobs:
        typer.echo("no job is open")
        return
    wanted = [(job["kind"], job["collection"]) for job in open_jobs]
    ended = follow(client, wanted)
    report(((f"{name} {of}", ended[of, name]) for of, name in wanted), line)


@app.command("pause")
def pause(pattern: Pattern, kind: Kind = None) -> None:
    """Have workers stop behind the page that they are at."""
    _tune(pattern, kind, {"paused": True})


@app.command("resume")
def resume(pattern: Pattern, kind: Kind = None) -> None:
    """Have workers go on."""
    _tune(pattern, kind, {"paused": False})


@app.command("tune")
def tune(
    pattern: Pattern,
    *,
    kind: Kind = None,
    points_per_second: PointsPerSecond = None,
    workers: Workers = None,
    page_bytes: PageBytes = None,
    unlimited: Annotated[
        list[str] | None,
        typer.Option(help="Take a limit away: points-per-second, workers or page-bytes."),
    ] = None,
) -> None:
    """Change what running jobs may take; workers follow with their next page."""
    limits = {"points_per_second": points_per_second, "workers": workers, "page_bytes": page_bytes}
    changes: dict[str, object] = {
        name: value for name, value in limits.items() if value is not None
    }
    for name in (each.replace("-", "_") for each in unlimited or ()):
        if name not in limits:
            message = f"--unlimited {_spelled(name)}: there is no such limit; one of {', '.join(map(_spelled, limits))}"
            raise StageError(message)
        changes[name] = None
    if not changes:
        message = "nothing to tune: give at least one of --points-per-second, --workers, --page-bytes, --unlimited"
        raise StageError(message)
    _tune(pattern, kind, changes)


@app.command("cancel")
def cancel(pattern: Pattern, kind: Kind = None) -> None:
    """End jobs; what they wrote stays, and another run goes through the ids anew."""
    client = ControlClient.from_settings()
    _each(_open(client, pattern, kind), lambda job: client.cancel(job["kind"], job["collection"]))


def _spelled(limit: str) -> str:
    return limit.replace("_", "-")


def _tune(pattern: str, kind: str | None, changes: Mapping[str, object]) -> None:
    client = ControlClient.from_settings()
    _each(
        _open(client, pattern, kind),
        lambda job: client.tune(job["kind"], job["collection"], changes),
    )


def _each(jobs: Sequence[Job], change: Callable[[Job], Job]) -> None:
    """Change every job and print how it is then; exit 1 when one could not be changed."""
    failed = 0
    for job in jobs:
        name = f"{job['collection']} {job['kind']}"
        try:
            typer.echo(f"{name}: {line(change(job))}")
        except VecferryError as error:
            failed += 1
            typer.secho(f"{name}: {error}", fg="red", err=True)
    if failed:
        raise typer.Exit(1)


def _open(client: ControlClient, pattern: str, kind: str | None) -> list[Job]:
    jobs = [job for job in client.jobs(pattern, kind) if job["state"] == "running"]
    if not jobs:
        message = f"no open job of a collection that `{pattern}` names"
        raise StageError(message)
    return jobs


def _matching(client: ControlClient, pattern: str, kind: str | None) -> list[Job]:
    jobs = client.jobs(pattern, kind)
    if not jobs:
        message = f"no job of a collection that `{pattern}` names"
        raise StageError(message)
    return jobs
