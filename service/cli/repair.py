"""``vecferry repair``: make ids equal that a verification has confirmed to differ, or that a store has refused."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import UUID

import typer

from service.cli.client import ControlClient
from service.errors import StageError

_SHOWN = 5
_REFUSED = "; what Postgres cannot hold is in `vecferry quarantine list`"


def repair(
    collection: Annotated[str, typer.Argument(help="The collection's name.")],
    receipt: Annotated[
        UUID | None, typer.Option(help="Repair what this receipt confirms; else the newest.")
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Try the ids of the ledger's refused intents instead.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without this it is only said what would be.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line per page.")] = False,
) -> None:
    """Say what differs still and what would be copied where; with --apply do it and look again.

    Exit 1 when something differs: without --apply anything, with it what is left.
    """
    if receipt is not None and ledger:
        message = "give --receipt or --ledger, not both"
        raise StageError(message)
    client = ControlClient.from_settings()
    wanted = {
        "receipt": None if receipt is None else str(receipt),
        "ledger": ledger,
        "apply": apply,
    }
    totals = _Totals()
    for page in _pages(client, collection, wanted):
        totals.add(page)
        if as_json:
            typer.echo(json.dumps(page))
        else:
            _show(page, is_first=totals.pages == 1)
    if not as_json:
        typer.echo(totals.text(apply=apply))
    if totals.left(apply=apply):
        raise typer.Exit(1)


class _Totals:
    """Sums over the pages."""

    def __init__(self) -> None:
        self.pages = 0
        self._counts: Counter[str] = Counter()

    def add(self, page: dict[str, Any]) -> None:
        plan, outcome = page["plan"], page["outcome"]
        self.pages += 1
        self._counts["looked_at"] += page["looked_at"]
        self._counts["to_repair"] += plan["to_repair"] + page["refused"]
        self._counts["equal"] += plan["equal"]
        self._counts["quarantined"] += len(plan["quarantined"])
        self._counts["pending"] += len(plan["pending"]) - page["refused"]
        if outcome is not None:
            self._counts["repaired"] += outcome["repaired"]
            self._counts["differing"] += len(outcome["differing"])
            self._counts["unsettled"] += len(outcome["unsettled"])

    def left(self, *, apply: bool) -> int:
        """Return how many ids are not known to be equal; what is quarantined is on a list of its own."""
        counts = self._counts
        done = counts["differing"] + counts["unsettled"] if apply else counts["to_repair"]
        return done + counts["pending"]

    def text(self, *, apply: bool) -> str:
        counts = self._counts
        parts = [f"{counts['looked_at']} id(s) looked at", f"{counts['equal']} equal already"]
        if counts["quarantined"]:
            parts.append(f"{counts['quarantined']} in the quarantine, left alone")
        if counts["pending"]:
            parts.append(f"{counts['pending']} named by unsettled writes")
        if apply:
            parts += [f"{counts['repaired']} repaired", f"{self.left(apply=True)} still differ"]
            return ", ".join(parts) + (_REFUSED if counts["differing"] else "")
        parts.append(f"{counts['to_repair']} to repair")
        hint = "; nothing was written, --apply does it" if counts["to_repair"] else ""
        return ", ".join(parts) + hint


def _pages(
    client: ControlClient, collection: str, wanted: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    after: str | None = None
    while True:
        page = client.repair(collection, {**wanted, "after": after})
        yield page
        after = page["next"]
        # Every page of an order is about the same receipt, also when a newer one is made meanwhile.
        wanted["receipt"] = page["receipt"]
        if after is None:
            return


def _show(page: dict[str, Any], *, is_first: bool) -> None:
    if is_first:
        of = f"receipt {page['receipt']}" if page["receipt"] else "the ledger's refused intents"
        typer.echo(
            f"{page['collection']} in stage {page['stage']}: the {page['authority']} is right,"
            f" the {page['repairs']} is repaired, by {of}"
        )
    for action, ids in page["plan"]["first_ids"].items():
        count = page["plan"]["actions"][action]
        typer.echo(f"  {action}: {count} ({_ids(ids, count)})")
    for left in (page["outcome"] or {"differing": ()})["differing"]:
        typer.secho(f"  {left['id']} still differs: {', '.join(left['kinds'])}", fg="red", err=True)


def _ids(ids: list[int | str], count: int) -> str:
    shown = ", ".join(str(each) for each in ids[:_SHOWN])
    return shown if count <= _SHOWN else f"{shown}, …"
