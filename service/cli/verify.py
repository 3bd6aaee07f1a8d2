"""``vecferry verify``: compare two stores point by point."""

import json
from typing import Any

import typer

from service.cli.backfill import Detach, report_started
from service.cli.client import ControlClient
from service.cli.following import report, run, start
from service.cli.options import AsJson, PointsPerSecond, Workers
from service.cli.rendering import Job, verdict
from service.cli.stage import Pattern
from service.errors import StageError

_MOST_LISTED = 10


def verify(
    pattern: Pattern,
    *,
    points_per_second: PointsPerSecond = None,
    workers: Workers = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Compare collections in both directions and print their receipts; exit 1 when anything differs."""
    if detach and as_json:
        message = "--json prints receipts, and there are none yet with --detach: give one of them"
        raise StageError(message)
    client = ControlClient.from_settings()
    names = client.matching(pattern)
    limits = {"points_per_second": points_per_second, "workers": workers}
    body = {name: value for name, value in limits.items() if value is not None}
    if detach:
        report_started("verify", start(client, "verify", names, body))
        return
    jobs = run(client, "verify", names, body)
    if as_json:
        typer.echo(json.dumps({name: _document(job) for name, job in jobs.items()}))
    else:
        report(jobs.items(), _describe)
    if any(job["state"] != "done" or not job["result"]["clean"] for job in jobs.values()):
        raise typer.Exit(1)


def _document(job: Job) -> dict[str, Any]:
    if job["state"] != "done":
        return {"clean": False, "error": job["error"] or job["state"]}
    receipt: dict[str, Any] = job["result"]
    return receipt


def _describe(job: Job) -> str:
    result = job["result"]
    return (
        f"{verdict(clean=result['clean'])}: {result['compared']} ids compared, {result['differing']} differing, "
        f"{result['unsettled']} unsettled, {result['rechecked']} differed at first sight"
        f"{_waived(result)}{_listed(result)}{_advice(job['collection'], result)}"
    )


def _advice(name: str, result: dict[str, Any]) -> str:
    if not result["differing"]:
        return ""
    return (
        f"\n  `vecferry repair {name}` says what would make them equal,"
        f" `vecferry quarantine list {name}` which of them Postgres cannot hold"
    )


def _waived(result: dict[str, Any]) -> str:
    return f", {result['excluded']} waived and left out" if result["excluded"] else ""


def _listed(result: dict[str, Any]) -> str:
    shown = result["differing_ids"][:_MOST_LISTED]
    lines = [f"\n  ! {fault}" for fault in result["faults"]]
    lines += [f"\n  {entry['id']}: {', '.join(entry['kinds'])}" for entry in shown]
    left = result["differing"] - len(shown)
    return "".join([*lines, f"\n  and {left} more"] if left else lines)
