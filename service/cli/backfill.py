"""``vecferry backfill``: copy what was there before."""

from typing import Annotated, Any

import typer

from service.cli.client import ControlClient
from service.cli.jobs import Done, report, run
from service.cli.stage import Pattern


def backfill(
    pattern: Pattern,
    restart: Annotated[bool, typer.Option(help="Copy everything again from the first id.")] = False,
) -> None:
    """Copy collections into Postgres beside live traffic; resumes where an earlier run ended."""
    client = ControlClient.from_settings()
    jobs = run(client, "backfill", client.matching(pattern), _done, {"restart": restart})
    report(jobs, _describe)


def _done(found: dict[str, Any]) -> Done:
    stored = found["progress"]
    return (0, None) if stored is None else (stored["scanned"], stored["total"])


def _describe(result: dict[str, Any]) -> str:
    indexes = ", ".join(name or "(unnamed)" for name in result["indexes"])
    built = f", HNSW index on {indexes}" if indexes else ""
    if result["was_done"]:
        return f"was complete already (--restart copies again){built}"
    return f"{result['scanned']} points read, {result['copied']} copied{built}"
