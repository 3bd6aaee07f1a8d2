"""``vecferry quarantine``: points that the target cannot hold; waive them by id, or try them again."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.table import Table

from service.cli.client import ControlClient
from service.cli.options import AsJson
from service.cli.tables import show
from service.errors import StageError
from service.model.ids import PointId, parse_point_id
from service.patterns import named

app = typer.Typer(
    no_args_is_help=True, help="Points that the target cannot hold: list, waive, try again."
)

Collection = Annotated[str, typer.Argument(help="The collection's name.")]

_REASON_WIDTH = 60


@app.command("list")
def list_points(
    pattern: Annotated[str, typer.Argument(help="Collections: a name or a shell pattern.")] = "*",
    as_json: AsJson = False,
) -> None:
    """Show every point of the quarantine, with the target's reason."""
    client = ControlClient.from_settings()
    points = list(_points(client, pattern))
    if as_json:
        typer.echo(json.dumps(points))
    elif points:
        show(_table(points))
        blocking = sum(point["waived_by"] is None for point in points)
        typer.echo(f"{len(points)} point(s), {blocking} of them keep the target from answering")
    else:
        typer.echo("the quarantine is empty")


@app.command("waive")
def waive(
    collection: Collection,
    ids: Annotated[list[str], typer.Argument(help="Ids of points to give up, each by name.")],
) -> None:
    """Accept that the target lacks these points. A later value that it can hold ends the waiver."""
    waived = ControlClient.from_settings().waive(collection, [_id(each) for each in ids])
    typer.echo(f"{waived} point(s) of {collection} waived")


@app.command("retry")
def retry(
    collection: Collection,
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids to try again; all without any.")
    ] = None,
) -> None:
    """Copy quarantined points once more; exit 1 when the target still refuses some."""
    client = ControlClient.from_settings()
    wanted = [_id(each) for each in ids] if ids else None
    tried = solved = 0
    after: str | None = None
    while True:
        page = client.retry_quarantined(collection, wanted, after)
        tried += page["tried"]
        solved += page["outcome"]["repaired"]
        after = page["next"]
        if after is None:
            break
    typer.echo(f"{tried} point(s) of {collection} tried again, {solved} solved")
    if solved < tried:
        raise typer.Exit(1)


def _points(client: ControlClient, pattern: str) -> Iterator[dict[str, Any]]:
    for name in named(pattern, client.quarantine_count()):
        after: str | None = None
        while True:
            page = client.quarantine(name, after)
            yield from page["points"]
            after = page["next"]
            if after is None:
                break


def _table(points: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("collection", "id", "reason", "found by", "found at", "waived by"):
        table.add_column(
            heading, overflow="fold", max_width=_REASON_WIDTH if heading == "reason" else None
        )
    for point in points:
        waived_by = point["waived_by"] or ""
        table.add_row(
            point["collection"],
            str(point["id"]),
            point["reason"],
            point["found_by"],
            point["found_at"],
            f"{waived_by} (refused again since)" if point["refused_again"] else waived_by,
        )
    return table


def _id(text: str) -> PointId:
    try:
        return parse_point_id(int(text) if text.isascii() and text.isdigit() else text)
    except ValueError as error:
        raise StageError(str(error)) from None
