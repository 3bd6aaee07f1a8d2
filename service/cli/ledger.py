"""``vecferry ledger``: which ids are not known to be equal, why, and what to try again."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO
from uuid import UUID

import typer
from rich.table import Table

from service.cli.client import ControlClient
from service.cli.options import AsJson
from service.cli.tables import show
from service.errors import StageError
from service.protocol.book import LineState

app = typer.Typer(
    no_args_is_help=True, help="Read the ledger, and have failed intents tried again."
)

Collection = Annotated[str | None, typer.Argument(help="Only this collection's.")]

_EMPTY = "the ledger is empty: both stores are equal as far as vecferry knows, the quarantine apart"
_EXPORT_PAGE = 200
_IDS_SHOWN = 3
_TEXT_WIDTH = 60


@app.command("list")
def list_lines(
    collection: Collection = None,
    state: Annotated[LineState | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show unsettled intents, oldest first, hints last."""
    client = ControlClient.from_settings()
    page = _first_page(client, collection, state, limit)
    if as_json:
        typer.echo(json.dumps(page))
    elif page["lines"]:
        show(_lines_table(page["lines"]))
        if page["next"]:
            typer.echo("there are more: see `vecferry ledger count`, or `export` for all of them")
    elif not page["unread"]:
        typer.echo(_nothing(collection, state))
    _fail_if_unread(page["unread"])


@app.command("count")
def count(collection: Collection = None, as_json: AsJson = False) -> None:
    """Count unsettled intents by collection, side, state and cause, with the age of the oldest."""
    found = ControlClient.from_settings().ledger_count(collection)
    if as_json:
        typer.echo(json.dumps(found))
    elif found["tallies"]:
        show(_count_table(found["tallies"]))
    elif not found["unread"]:
        typer.echo(_nothing(collection, None))
    _fail_if_unread(found["unread"])


@app.command("retry")
def retry(
    collection: Collection = None,
    ids: Annotated[list[UUID] | None, typer.Option("--id", help="One intent; repeatable.")] = None,
) -> None:
    """Have failing and dead intents tried again now: all, a collection's, or those named."""
    if collection is not None and ids:
        message = "give a collection or --id, not both"
        raise StageError(message)
    retried = ControlClient.from_settings().ledger_retry(collection, ids or None)
    typer.echo(f"{retried} intent(s) will be tried again now")


@app.command("export")
def export(
    output: Annotated[
        Path | None, typer.Option(help="Write to this file; without it to standard output.")
    ] = None,
) -> None:
    """Write the whole ledger as JSON lines, every id of it.

    What is settled meanwhile may be missing, what arrives meanwhile may be there; everything else is.
    """
    client = ControlClient.from_settings()
    if output is None:
        written = _write(client, sys.stdout)
    else:
        # A file of this name is always a whole export.
        partial = output.with_name(output.name + ".partial")
        try:
            with partial.open("w", encoding="utf-8") as file:
                written = _write(client, file)
            partial.replace(output)
        except OSError as error:
            message = f"cannot write {output}: {error.strerror}"
            raise StageError(message) from None
    typer.echo(f"{written} intent(s) exported", err=True)


def _write(client: ControlClient, file: TextIO) -> int:
    written = 0
    for page in _pages(client):
        _fail_if_unread(page["unread"])
        file.writelines(json.dumps(line) + "\n" for line in page["lines"])
        written += len(page["lines"])
    return written


def _pages(client: ControlClient) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        page = client.ledger(after=after, limit=_EXPORT_PAGE)
        yield page
        after = page["next"]
        if after is None:
            return


def _first_page(
    client: ControlClient, collection: str | None, state: LineState | None, limit: int
) -> dict[str, Any]:
    """Return up to ``limit`` lines; hints of other collections are passed over."""
    page = client.ledger(collection=collection, state=state, limit=limit)
    while len(page["lines"]) < limit and page["next"]:
        left = limit - len(page["lines"])
        more = client.ledger(collection=collection, state=state, after=page["next"], limit=left)
        page = {
            "lines": page["lines"] + more["lines"],
            "next": more["next"],
            "unread": page["unread"] | more["unread"],
        }
    return page


def _fail_if_unread(unread: dict[str, str]) -> None:
    """Exit 1 when a part of the ledger could not be read: what was shown is not all."""
    for side, reason in unread.items():
        part = "hints" if side == "source" else "intents"
        typer.secho(f"the {part} could not be read: {reason}", fg="red", err=True)
    if unread:
        raise typer.Exit(1)


def _nothing(collection: str | None, state: LineState | None) -> str:
    if collection is None and state is None:
        return _EMPTY
    of = "" if collection is None else f" of `{collection}`"
    return f"the ledger has nothing{of}" + ("" if state is None else f" in state {state}")


def _lines_table(lines: list[dict[str, Any]]) -> Table:
    headings = ("id", "collection", "behind", "state", "age", "cause", "ids", "failures", "error")
    table = _table(headings)
    for line in lines:
        table.add_row(
            line["id"],
            line["collection"] or f"(dropped, {line['generation']})",
            line["behind"],
            line["state"],
            _age(line["age_seconds"]),
            line["cause"],
            "all" if line["is_whole"] else _ids(line["ids"]),
            str(line["failures"] or ""),
            line["error"] or "",
        )
    return table


def _count_table(tallies: list[dict[str, Any]]) -> Table:
    table = _table(("collection", "behind", "state", "cause", "intents", "ids", "oldest"))
    for tally in tallies:
        table.add_row(
            tally["collection"],
            tally["behind"],
            tally["state"],
            tally["cause"],
            str(tally["intents"]),
            str(tally["ids"]),
            _age(tally["oldest_seconds"]),
        )
    return table


def _table(headings: tuple[str, ...]) -> Table:
    table = Table()
    for heading in headings:
        is_text = heading in {"cause", "error"}
        table.add_column(heading, overflow="fold", max_width=_TEXT_WIDTH if is_text else None)
    return table


def _ids(ids: list[int | str]) -> str:
    shown = ", ".join(str(each) for each in ids[:_IDS_SHOWN])
    return shown if len(ids) <= _IDS_SHOWN else f"{shown}, … ({len(ids)})"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
