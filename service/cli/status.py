"""``vecferry status``: where every collection stands."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from service.cli.client import ControlClient


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show stage, ledger, backfill and parity of every collection."""
    found = ControlClient.from_settings().status()
    if as_json:
        typer.echo(json.dumps(found))
        return
    console = Console()
    console.print(_table(found["collections"]))
    if found["source_error"]:
        console.print(f"[red]Qdrant:[/red] {found['source_error']}")


def _table(collections: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("collection", "stage", "authority", "ledger", "points", "backfill", "parity"):
        table.add_column(heading, overflow="fold")
    for row in collections:
        stage = f"{row['stage']} {row['percent']} %" if row["stage"] == "ramp" else row["stage"]
        table.add_row(
            row["name"],
            stage + (" (frozen)" if row["frozen"] else ""),
            row["authority"],
            str(row["ledger"]),
            "" if row["points"] is None else str(row["points"]),
            _backfill(row["backfill"]),
            _parity(row["parity"]),
        )
    return table


def _backfill(job: dict[str, Any] | None) -> str:
    if job is None:
        return ""
    total = "?" if job["total"] is None else job["total"]
    return f"{job['state']} {job['scanned']}/{total}"


def _parity(parity: dict[str, Any] | None) -> str:
    if parity is None or not parity["samples"]:
        return ""
    return f"{parity['overlap']:.4f} ({parity['samples']})"
