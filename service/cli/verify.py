"""``vecferry verify``: compare two stores point by point."""

import json
from typing import Annotated, Any

import typer

from service.cli.client import ControlClient
from service.cli.jobs import Done, follow, report
from service.cli.stage import Pattern


def verify(
    pattern: Pattern,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """Compare collections in both directions; exit 1 when anything differs."""
    client = ControlClient.from_settings()
    names = client.matching(pattern)
    for name in names:
        client.start("verify", name)
    jobs = follow(client, "verify", names, _done)
    if as_json:
        typer.echo(json.dumps({name: job["result"] for name, job in jobs.items()}))
    else:
        report(jobs, _describe)
    if any(job["error"] or not job["result"]["clean"] for job in jobs.values()):
        raise typer.Exit(1)


def _done(found: dict[str, Any]) -> Done:
    job = found["job"]
    return (1, 1) if job is not None and job["state"] != "running" else (0, None)


def _describe(result: dict[str, Any]) -> str:
    verdict = "equal" if result["clean"] else "NOT EQUAL"
    return (
        f"{verdict}: {result['compared']} ids compared, {result['differing']} differing, "
        f"{result['unsettled']} unsettled, {result['rechecked']} looked at again"
    )
