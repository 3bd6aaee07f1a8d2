"""The report: a table on the terminal and the same rows as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.bench.measure import Better, Row


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as one JSON list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps([asdict(row) for row in rows], option=orjson.OPT_INDENT_2))


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the rows, a missed goal marked."""
    table = Table(title="vecferry against its peers (medians of interleaved rounds)")
    table.add_column("area")
    table.add_column("case")
    for heading in ("ours", "peer", "ratio", "goal"):
        table.add_column(heading, justify="right")
    table.add_column("peer is")
    for row in rows:
        sign = "≥" if row.better is Better.HIGHER else "≤"
        verdict = "" if row.meets_goal else " missed"
        table.add_row(
            row.area,
            row.case,
            f"{row.ours:,.2f} {row.unit}",
            f"{row.peer:,.2f} {row.unit}",
            f"{row.ratio:.2f}",
            f"{sign} {row.goal:g}{verdict}",
            row.peer_name,
        )
    console.print(table)
