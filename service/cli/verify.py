"""``vecferry verify``: compare two stores point by point."""

import json
from typing import Annotated, Any

import typer

from service.cli.client import ControlClient
from service.cli.jobs import Done, Job, report, run
from service.cli.stage import Pattern

_MOST_LISTED = 10


def verify(
    pattern: Pattern,
    as_json: Annotated[bool, typer.Option("--json", help="Print the receipts as JSON.")] = False,
) -> None:
    """Compare collections in both directions; exit 1 when anything differs."""
    client = ControlClient.from_settings()
    jobs = run(client, "verify", client.matching(pattern), _done)
    if as_json:
        typer.echo(json.dumps({name: _document(job) for name, job in jobs.items()}))
    else:
        report(jobs, _describe)
    if any(job["error"] or not job["result"]["clean"] for job in jobs.values()):
        raise typer.Exit(1)


def _done(found: dict[str, Any]) -> Done:
    job = found["job"]
    return (1, 1) if job is not None and job["state"] != "running" else (0, None)


def _document(job: Job) -> dict[str, Any]:
    if job["error"]:
        return {"clean": False, "error": job["error"]}
    receipt: dict[str, Any] = job["result"]
    return receipt


def _describe(result: dict[str, Any]) -> str:
    verdict = "equal" if result["clean"] else "NOT EQUAL"
    return (
        f"{verdict}: {result['compared']} ids compared, {result['differing']} differing, "
        f"{result['unsettled']} unsettled, {result['rechecked']} looked at again"
        f"{_listed(result)}"
    )


def _listed(result: dict[str, Any]) -> str:
    shown = result["differing_ids"][:_MOST_LISTED]
    lines = [f"\n  {entry['id']}: {', '.join(entry['kinds'])}" for entry in shown]
    left = result["differing"] - len(shown)
    return "".join([*lines, f"\n  and {left} more"] if left else lines)
