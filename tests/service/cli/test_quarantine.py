"""``vecferry quarantine`` and ``vecferry repair``: what is printed of the control API's answers; the exit status."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.cli.client import ControlClient
from service.errors import StageError


def listed(point_id: int | str, **changes: object) -> dict[str, Any]:
    """Return a point as the control API shows it."""
    return {
        "collection": "docs", "generation": 1, "id": point_id, "reason": "a NUL",
        "found_by": "resync", "found_at": "2026-11-22T21:00:00.000+00:00", "waived_by": None,
        "refused_again": False, **changes,
    }  # fmt: skip


def looked(**changes: Any) -> dict[str, Any]:
    """Return a page of a repair."""
    plan = {
        "to_repair": 2, "kinds": {"missing": 2}, "actions": {"write to target": 2},
        "first_ids": {"write to target": [1, 2]}, "equal": 1, "pending": [], "quarantined": [],
    }  # fmt: skip
    return {
        "collection": "docs", "stage": "shadow", "authority": "source", "repairs": "target",
        "receipt": "r", "looked_at": 3, "plan": plan, "refused": 0, "outcome": None,
        "next": None, **changes,
    }  # fmt: skip


class Control:
    """A control API that answers what the test puts in, and notes what it was asked."""

    def __init__(self) -> None:
        self.points: dict[str, list[dict[str, Any]]] = {}
        self.pages: list[dict[str, Any]] = []
        self.asked: list[Any] = []

    def quarantine_count(self) -> dict[str, Any]:
        return {name: {} for name in self.points}

    def quarantine(self, name: str, after: str | None) -> dict[str, Any]:
        at = int(after or 0)
        points = self.points[name]
        return {
            "points": points[at : at + 2],
            "next": str(at + 2) if len(points) > at + 2 else None,
        }

    def waive(self, *asked: Any) -> int:
        self.asked.append(asked)
        return len(asked[1])

    def retry_quarantined(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return self.pages.pop(0)

    def repair(self, *asked: Any) -> dict[str, Any]:
        self.asked.append((asked[0], dict(asked[1])))
        return self.pages.pop(0)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    """The control API that the commands find."""
    control = Control()
    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: control))
    monkeypatch.setenv("COLUMNS", "200")
    return control


def told(*arguments: str, status: int = 0) -> str:
    """Run a command and return what it prints."""
    ran = CliRunner().invoke(app, list(arguments))
    assert ran.exit_code == status, ran.output
    return ran.output


def test_every_listed_point_is_shown(control: Control) -> None:
    """Of the collections that the pattern names, page by page; those that block are counted."""
    control.points = {
        "docs": [listed(number) for number in range(3)],
        "docs-2": [listed("u", waived_by="ops", refused_again=True)],
        "other": [listed(99)],
    }
    shown = told("quarantine", "list", "docs*")
    assert "4 point(s), 3 of them keep the target from answering" in shown
    assert "ops (refused again since)" in shown
    assert "99" not in shown
    assert [each["id"] for each in json.loads(told("quarantine", "list", "docs", "--json"))] == [
        0, 1, 2,
    ]  # fmt: skip
    control.points = {}
    assert told("quarantine", "list") == "the quarantine is empty\n"


def test_a_waiver_names_ids(control: Control) -> None:
    """Numbers are numbers, and UUIDs in any spelling are what they stand for."""
    uuid = "00000000-0000-0000-0000-00000000000A"
    assert told("quarantine", "waive", "docs", "7", uuid) == "2 point(s) of docs waived\n"
    assert control.asked == [("docs", [7, uuid.lower()])]
    ran = CliRunner().invoke(app, ["quarantine", "waive", "docs", "x"])
    assert isinstance(ran.exception, StageError)
    assert "value x is not a valid point ID" in str(ran.exception)
    assert CliRunner().invoke(app, ["quarantine", "waive", "docs"]).exit_code == 2


@pytest.mark.parametrize(("repaired", "status"), [(3, 0), (2, 1)])
def test_a_retry_goes_through_all_pages(control: Control, repaired: int, status: int) -> None:
    """Exit 1 when the target still refuses some."""
    control.pages = [
        {"tried": 2, "outcome": {"repaired": 2}, "next": "aa"},
        {"tried": 1, "outcome": {"repaired": repaired - 2}, "next": None},
    ]
    shown = told("quarantine", "retry", "docs", status=status)
    assert shown == f"3 point(s) of docs tried again, {repaired} solved\n"
    assert control.asked == [("docs", None, None), ("docs", None, "aa")]


def test_a_repair_is_said_before_it_is_done(control: Control) -> None:
    """Exit 1 as long as something differs; all pages are of the receipt that the first one was of."""
    control.pages = [looked(next="aa"), looked()]
    shown = told("repair", "docs", status=1)
    assert (
        "docs in stage shadow: the source is right, the target is repaired, by receipt r" in shown
    )
    assert "write to target: 2 (1, 2)" in shown
    assert "6 id(s) looked at, 2 equal already, 4 to repair; nothing was written" in shown
    assert [each[1]["receipt"] for each in control.asked] == [None, "r"]
    assert not any(each[1]["apply"] for each in control.asked)


@pytest.mark.parametrize(
    ("differing", "unsettled", "status"),
    [([], [], 0), ([{"id": 2, "kinds": ["payload"]}], [], 1), ([], [2], 1)],
)
def test_what_is_left_after_a_repair_is_said(
    control: Control, differing: list[Any], unsettled: list[int], status: int
) -> None:
    """Exit 0 only when every id is known to be equal."""
    left = len(differing) + len(unsettled)
    outcome = {"repaired": 2 - left, "differing": differing, "unsettled": unsettled}
    control.pages = [looked(outcome=outcome)]
    shown = told("repair", "docs", "--apply", status=status)
    assert f"{2 - left} repaired, {left} still differ" in shown
    assert ("2 still differs: payload" in shown) is bool(differing)


def test_a_repair_is_of_a_receipt_or_of_the_ledger(control: Control) -> None:
    """Not of both; refused intents are no difference that is proven, and are tried all the same."""
    receipt = "00000000-0000-0000-0000-000000000001"
    ran = CliRunner().invoke(app, ["repair", "docs", "--receipt", receipt, "--ledger"])
    assert isinstance(ran.exception, StageError)
    plan = {**looked()["plan"], "to_repair": 0, "actions": {}, "first_ids": {}, "pending": [8]}
    control.pages = [looked(receipt=None, refused=1, plan=plan)]
    shown = told("repair", "docs", "--ledger", status=1)
    assert "by the ledger's refused intents" in shown
    assert "1 to repair" in shown
