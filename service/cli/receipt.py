"""``vecferry receipt``: the documents of finished verifications."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from backfill.receipt import FORMAT
from backfill.receipt_page import page
from backfill.signature import Verdict, verdict
from service import config
from service.cli.client import ControlClient
from service.cli.options import AsJson
from service.cli.rendering import verdict as said
from service.cli.tables import show
from service.errors import ConfigurationError, StageError

app = typer.Typer(no_args_is_help=True, help="Read, save and check receipts of verifications.")

Collection = Annotated[str, typer.Argument(help="Whose newest receipt, or the receipt's id.")]

_MOST_LISTED = 10


@app.command("list")
def list_receipts(
    collection: Annotated[str | None, typer.Argument(help="Only this collection's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="Most lines.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show receipts, the newest first; those of dropped collections too."""
    found = ControlClient.from_settings().receipts(collection, limit)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    elif found:
        show(_table(found))
    else:
        typer.echo("there are no receipts: `vecferry verify` makes them")


@app.command("show")
def show_receipt(
    collection: Collection,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole document.")] = False,
) -> None:
    """Show what a receipt says; exit 1 when it is not clean."""
    document = ControlClient.from_settings().receipt(collection)
    typer.echo(_whole(document) if as_json else _summary(document))
    if not document["clean"]:
        raise typer.Exit(1)


@app.command("save")
def save(
    collection: Collection,
    html: Annotated[Path | None, typer.Option(help="Write a page for people here.")] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write the document, as it was signed, here.")
    ] = None,
) -> None:
    """Write a receipt to files."""
    if html is None and as_json is None:
        message = "say where to: --html FILE, --json FILE, or both"
        raise StageError(message)
    document = ControlClient.from_settings().receipt(collection)
    for file, text in ((html, page(document)), (as_json, _whole(document) + "\n")):
        if file is not None:
            _write(file, text)
            typer.echo(f"written: {file}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="A receipt as JSON.")],
) -> None:
    """Check a saved receipt's signature with VECFERRY_RECEIPT_KEY; exit 1 unless it is as it was signed."""
    key = config.load().receipt_key
    if key is None:
        message = "VECFERRY_RECEIPT_KEY: must be set to check a signature"
        raise ConfigurationError(message)
    found = verdict(_read(file), key.get_secret_value().encode())
    typer.echo(f"{file}: {_SAID[found]}")
    if found is not Verdict.VALID:
        raise typer.Exit(1)


_SAID = {
    Verdict.VALID: "the signature is valid",
    Verdict.CHANGED: "CHANGED since it was signed",
    Verdict.UNSIGNED: "not signed",
    Verdict.OTHER_KEY: "signed with another key, or changed",
}


def _table(receipts: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("id", "collection", "finished", "verdict"):
        table.add_column(heading, overflow="fold")
    for each in receipts:
        clean = bool(each["clean"])
        table.add_row(each["id"], each["collection"], each["created_at"], said(clean=clean))
    return table


def _summary(document: dict[str, Any]) -> str:
    lines = [
        f"{document['collection']}: {said(clean=bool(document['clean']))}",
        (
            f"  receipt {document['receipt']}, finished {document['finished_at']},"
            f" stage {document['stage']} (authority: {document['authority']})"
        ),
        (
            f"  {document['compared']} ids compared: {document['source_points']} points of Qdrant,"
            f" {document['target_points']} of Postgres, in {len(document['ranges'])} range(s)"
        ),
        (
            f"  {document['rechecked']} differed at first sight, {document['differing']} confirmed,"
            f" {document['unsettled']} unsettled, {document['excluded']} waived"
        ),
        *(f"  ! {fault}" for fault in document["faults"]),
    ]
    shown = document["differing_ids"][:_MOST_LISTED]
    lines += [f"  {each['id']}: {', '.join(each['kinds'])}" for each in shown]
    if left := document["differing"] - len(shown):
        lines.append(f"  and {left} more")
    signature = document.get("signature")
    lines.append(f"  signed with key {signature['key']}" if signature else "  not signed")
    return "\n".join(lines)


def _whole(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()


def _require_distinct(members: list[tuple[str, Any]]) -> None:
    """Raise ``ValueError`` for two members of one name: the signature covers one, a reader may look at the other."""
    counts = Counter(name for name, _ in members)
    if twins := [name for name, count in counts.items() if count > 1]:
        message = f"it has more than one member `{twins[0]}`"
        raise ValueError(message)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}"
        raise StageError(message) from None


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_bytes()
        found = orjson.loads(text)
        json.loads(text, object_pairs_hook=_require_distinct)
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}"
        raise StageError(message) from None
    except (ValueError, RecursionError) as error:
        message = f"{file} is not JSON: {error}"
        raise StageError(message) from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        message = f"{file} is not a receipt"
        raise StageError(message)
    return found
