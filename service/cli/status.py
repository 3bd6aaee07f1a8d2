"""``vecferry status``: where every collection stands."""

import json
from collections.abc import Iterator
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from service.cli.client import ControlClient
from service.cli.options import AsJson
from service.cli.rendering import speed, state, time_left, waiting
from service.cli.tables import show


def status(
    as_json: AsJson = False,
) -> None:
    """Show stage, ledger, backfill and parity of every collection, and what is out of order."""
    found = ControlClient.from_settings().status()
    if as_json:
        typer.echo(json.dumps(found))
        return
    show(_table(found))
    console = Console()
    for line in _out_of_order(found):
        console.print(line, markup=False, style="red", soft_wrap=True)


def _out_of_order(found: dict[str, Any]) -> Iterator[str]:
    if not found["stages_known"]:
        yield "the stages were read from neither store yet: all writes are refused"
    elif found["detached"] and found["source_error"]:
        yield "detached: this instance reaches neither store; the stages above are the last it knew"
    elif found["detached"]:
        yield "detached: this instance works without Postgres; mirrored writes become hints in Qdrant"
    if found["source_error"]:
        yield f"Qdrant: {found['source_error']}"
    if found["target_error"]:
        yield f"Postgres: {found['target_error']}"
    for side, reason in found["ledger_unread"].items():
        yield f"the {'hints' if side == 'source' else 'intents'} could not be read: {reason}"
    if hints := found["unsettled"]["hint"]:
        yield f"{hints} hint(s) wait in Qdrant for Postgres: see `vecferry ledger list --state hint`"
    if dead := found["unsettled"]["dead"]:
        yield f"{dead} dead letter(s): see `vecferry ledger list --state dead`"
    yield from _upkeep(found["upkeep"] or {})


def _upkeep(found: dict[str, Any]) -> Iterator[str]:
    """Say what is quarantined, and what differs that should not; of this instance's own looks."""
    if blocking := sum(each["blocking"] for each in found.get("quarantine", {}).values()):
        yield f"{blocking} point(s) that Postgres cannot hold: see `vecferry quarantine list`"
    continuous = found.get("continuous")
    if continuous and continuous["differing"]:
        last = continuous["last"][0]
        side = last["probably_changed"]
        by = f"{side} was probably changed" if side else "which store was changed is not known"
        yield (
            f"{continuous['differing']} point(s) differ though nothing is unsettled, as if written around the"
            f" proxy; last {last['collection']}/{last['id']} ({by}): run `vecferry verify`"
        )
    for each in found.get("miscounted", ()):
        yield (
            f"{each['collection']} has {each['source']} points in Qdrant and {each['target']} in Postgres,"
            " without a write in between: run `vecferry verify`"
        )


def _table(found: dict[str, Any]) -> Table:
    table = Table()
    for heading in (
        "collection",
        "stage",
        "authority",
        "ledger",
        "points",
        "backfill",
        "verify",
        "parity",
    ):
        table.add_column(heading, overflow="fold")
    for row in found["collections"]:
        is_whole = not found["ledger_unread"] or row["stage"] == "off"
        table.add_row(
            row["name"],
            _stage(row) if found["stages_known"] else "?",
            row["authority"] if found["stages_known"] else "?",
            _ledger(row["unsettled"], is_whole=is_whole),
            "" if row["points"] is None else str(row["points"]),
            _job(row["backfill"]),
            _job(row["verify"]),
            _parity(row["parity"]),
        )
    return table


def _stage(row: dict[str, Any]) -> str:
    stage = f"{row['stage']} {row['percent']} %" if row["stage"] == "ramp" else row["stage"]
    return stage + (" (frozen)" if row["frozen"] else "")


def _ledger(intents: dict[str, int], *, is_whole: bool) -> str:
    named = [f"{count} {state}" for state, count in intents.items() if count]
    return ", ".join(named if is_whole else [*named, "?"]) or "0"


def _job(job: dict[str, Any] | None) -> str:
    """Return the state and the points of a job, its rate and what it waits for while it is open, and why it failed."""
    if job is None:
        return ""
    total = "?" if job["total"] is None else job["total"]
    told = f"{state(job)} {job['scanned']}/{total}"
    if job["state"] not in {"running", "failed"}:
        return told
    moving = (speed(job), time_left(job)) if job["phase"] == "running" else ()
    return ", ".join(part for part in (told, *moving, waiting(job)) if part)


def _parity(parity: dict[str, Any] | None) -> str:
    if parity is None or not parity["samples"]:
        return ""
    return f"{parity['overlap']:.4f} ({parity['samples']})"
