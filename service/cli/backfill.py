"""``vecferry backfill``: copy what was there before."""

from collections.abc import Mapping
from typing import Annotated

import typer

from service.cli.client import ControlClient
from service.cli.following import how_to_follow, how_to_resume, report, run, start
from service.cli.options import PointsPerSecond, Workers
from service.cli.rendering import Job, duration, is_paused, state
from service.cli.stage import Pattern
from service.errors import VecferryError

Detach = Annotated[
    bool, typer.Option("--detach", help="Return at once; `vecferry jobs watch` follows it later.")
]


def backfill(
    pattern: Pattern,
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Copy everything again from the first id.")
    ] = False,
    paused: Annotated[
        bool,
        typer.Option(
            "--paused", help="Make the jobs, but copy nothing before `vecferry jobs resume`."
        ),
    ] = False,
    points_per_second: PointsPerSecond = None,
    workers: Workers = None,
    detach: Detach = False,
) -> None:
    """Copy collections into Postgres beside live traffic; goes on where an earlier run ended."""
    client = ControlClient.from_settings()
    names = client.matching(pattern)
    limits = {"points_per_second": points_per_second, "workers": workers}
    given = {name: value for name, value in limits.items() if value is not None}
    body = {"restart": restart, **given, **({"paused": True} if paused else {})}
    if detach or paused:
        report_started("backfill", start(client, "backfill", names, body))
    else:
        jobs = run(client, "backfill", names, body)
        counts = _quarantined(client)
        report(jobs.items(), lambda job: _describe(job) + _kept_out(job, counts))


def report_started(kind: str, jobs: dict[str, Job]) -> None:
    """Say what was started and how to follow it."""
    begun = [name for name, job in jobs.items() if job["state"] == "running"]
    paused = [name for name in begun if is_paused(jobs[name])]
    if going := [name for name in begun if name not in paused]:
        typer.echo(how_to_follow(kind, going))
    if paused:
        typer.echo(how_to_resume(kind, paused))
    report(
        jobs.items(), lambda job: "was complete already" if job["state"] == "done" else state(job)
    )


def _describe(job: Job) -> str:
    built = "".join(f", {_index(index)}" for index in job["result"].get("indexes", ()))
    if job.get("was_done"):
        return "was complete already (--restart copies again)"
    return f"{job['scanned']} points read, {job['copied']} copied{built}"


def _quarantined(client: ControlClient) -> Mapping[str, Mapping[str, int]]:
    """Return the quarantine's counts; jobs that are done are reported also when it cannot be asked."""
    try:
        return client.quarantine_count()
    except VecferryError as error:
        typer.secho(f"the quarantine could not be asked: {error}", fg="red", err=True)
        return {}


def _kept_out(job: Job, counts: Mapping[str, Mapping[str, int]]) -> str:
    name = job["collection"]
    blocking = counts.get(name, {}).get("blocking", 0)
    if not blocking:
        return ""
    return f"; {blocking} that Postgres cannot hold: see `vecferry quarantine list {name}`"


def _index(index: dict[str, object]) -> str:
    name = index["vector"] or "(unnamed)"
    seconds = index["seconds"]
    took = f" in {duration(seconds)}" if isinstance(seconds, int | float) else ""
    spilled = " (did not fit into memory)" if index["spilled"] else ""
    return f"HNSW index on {name}{took}{spilled}"
