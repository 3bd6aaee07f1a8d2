"""``vecferry schema``: what Postgres would make of collections, before anything is made."""

import json
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from service.cli.client import ControlClient
from service.cli.stage import Pattern
from service.errors import StageError


def schema(
    pattern: Pattern,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements, the notes as comments.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Show tables, indexes and sizes of collections in Postgres; changes nothing.

    Exit 1 when one of them cannot be held: what, and why, is on standard error.
    """
    client = ControlClient.from_settings()
    refused = False
    for name in client.matching(pattern):
        try:
            found = client.schema(name)
        except StageError as error:
            typer.secho(f"{name}: {error}", fg="red", err=True)
            refused = True
            continue
        typer.echo(json.dumps(found) if as_json else _sql(found) if sql else _summary(found))
    if not (sql or as_json):
        typer.echo("--sql prints the statements")
    if refused:
        raise typer.Exit(1)


def _summary(found: dict[str, Any]) -> str:
    lines = [f"{found['collection']}: {found['points']} points"]
    lines += [f"  {note}" for note in found["notes"]]
    graphs = f", the HNSW ones about {decimal(size)}" if (size := found["index_bytes"]) else ""
    lines.append(
        f"  tables: {len(found['tables'])}, about {decimal(found['table_bytes'])}; indexes built behind the copy:"
        f" {len(found['indexes'])}{graphs}"
    )
    if found["build_megabytes"]:
        lines.append(
            f"  the largest graph wants {found['build_megabytes']} MB while it is built, of"
            f" {found['allowed_megabytes']} MB allowed"
        )
    return "\n".join(lines)


def _sql(found: dict[str, Any]) -> str:
    lines = [f"-- {found['collection']}, {found['points']} points".replace("\n", " ")]
    lines += [f"-- {note}".replace("\n", " ") for note in found["notes"]]
    lines += [f"{statement};" for statement in found["tables"]]
    if found["indexes"]:
        lines.append("-- Behind the copy; each on its own, outside a transaction.")
    lines += [f"{statement};" for statement in found["indexes"]]
    return "\n".join(lines)
