"""``vecferry ledger``: what is printed of what the control API answers."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from service.cli.client import ControlClient
from service.errors import VecferryError
from tests.service.cli.commands import Ran, run

Pages = dict[str | None, Any]


def line(number: int, **changes: Any) -> dict[str, Any]:
    """Return a line as the control API shows it."""
    return {
        "id": str(UUID(int=number)), "collection": "docs", "generation": 1, "behind": "target",
        "state": "open", "cause": "PUT /", "ids": [number], "is_whole": False, "owed": True,
        "owner": str(UUID(int=99)), "age_seconds": 2.5, "failures": 0, "error": None, **changes,
    }  # fmt: skip


def page(*lines: dict[str, Any], following: str | None = None, **unread: str) -> dict[str, Any]:
    """Return a page as the control API answers it."""
    return {"lines": list(lines), "next": following, "unread": unread}


class Control:
    """A control API that answers from what the test puts in, and notes what it was asked."""

    def __init__(self) -> None:
        self.pages: Pages = {None: page()}
        self.tallies: dict[str, Any] = {"tallies": [], "unread": {}}
        self.asked: list[dict[str, Any]] = []
        self.retries: list[tuple[str | None, Any]] = []

    def ledger(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        found = self.pages[asked.get("after")]
        if isinstance(found, Exception):
            raise found
        return {**found, "lines": found["lines"][: asked["limit"]]}

    def ledger_count(self, collection: str | None) -> dict[str, Any]:
        return self.tallies

    def ledger_retry(self, collection: str | None, ids: Any) -> int:
        self.retries.append((collection, ids))
        return 2


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    """The control API that the commands find."""
    control = Control()
    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: control))
    monkeypatch.setenv("COLUMNS", "200")
    return control


@pytest.fixture
def vecferry() -> Callable[..., Ran]:
    """Run ``vecferry ledger …``."""
    return partial(run, "ledger")


@pytest.mark.usefixtures("control")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["list"],
            "the ledger is empty: both stores are equal as far as vecferry knows, the quarantine apart\n",
        ),
        (
            ["count"],
            "the ledger is empty: both stores are equal as far as vecferry knows, the quarantine apart\n",
        ),
        (["list", "docs"], "the ledger has nothing of `docs`\n"),
        (["list", "--state", "dead"], "the ledger has nothing in state dead\n"),
    ],
)
def test_an_empty_ledger_is_good_news(
    vecferry: Callable[..., Ran], arguments: list[str], told: str
) -> None:
    """A sentence and status 0; a question for a part says nothing of the rest."""
    assert vecferry(*arguments) == (0, told, "")


def test_lines_are_shown_with_what_went_wrong(
    control: Control, vecferry: Callable[..., Ran]
) -> None:
    """Ids, age, failures and the error; a whole collection, a dropped one and a hint are told apart."""
    control.pages[None] = page(
        line(1, ids=[7, 8, 9, 10], state="dead", failures=5, error="NUL", age_seconds=7500.0),
        line(2, is_whole=True, ids=[], cause="DELETE collection", age_seconds=61.0),
        line(3, collection="", generation=4),
        line(4, state="hint", age_seconds=None),
        following="more",
    )
    control.pages["more"] = page(line(5))
    code, out, err = vecferry("list", "--limit", "4")
    assert (code, err) == (0, "")
    for shown in ("7, 8, 9, … (4)", "2 h 5 min", "NUL", "DELETE collection", "all", "1 min 1 s",
                  "(dropped, 4)", "hint"):  # fmt: skip
        assert shown in out
    assert "there are more" in out
    assert str(UUID(int=5)) not in out


def test_pages_are_put_together_up_to_the_limit(
    control: Control, vecferry: Callable[..., Ran]
) -> None:
    """A page may hold fewer lines than were asked for."""
    control.pages = {None: page(line(1), following="b"), "b": page(line(2))}
    code, out, _ = vecferry("list", "docs", "--state", "open", "--json")
    assert (code, [each["id"] for each in json.loads(out)["lines"]]) == (
        0,
        [str(UUID(int=1)), str(UUID(int=2))],
    )
    assert [(each["collection"], each["state"], each["limit"]) for each in control.asked] == [
        ("docs", "open", 50),
        ("docs", "open", 49),
    ]


@pytest.mark.parametrize("command", ["list", "count"])
def test_what_could_not_be_read_is_status_1(
    control: Control, vecferry: Callable[..., Ran], command: str
) -> None:
    """An incomplete ledger never looks like an empty one."""
    control.pages[None] = page(target="Postgres is away")
    control.tallies = {"tallies": [], "unread": {"target": "Postgres is away"}}
    assert vecferry(command) == (1, "", "the intents could not be read: Postgres is away\n")


def test_counts_are_a_table(control: Control, vecferry: Callable[..., Ran]) -> None:
    """One row per collection, side, state and cause."""
    tally = {"collection": "docs", "behind": "target", "state": "failing", "cause": "PUT /",
             "intents": 12, "ids": 345, "oldest_seconds": 3.0}  # fmt: skip
    control.tallies["tallies"] = [tally]
    code, out, _ = vecferry("count")
    assert code == 0
    assert all(shown in out for shown in ("docs", "failing", "PUT /", "12", "345", "3.0 s"))


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], (None, None)),
        (["docs"], ("docs", None)),
        (["--id", str(UUID(int=1)), "--id", str(UUID(int=2))], (None, [UUID(int=1), UUID(int=2)])),
    ],
)
def test_retry_is_for_all_or_some(
    control: Control, vecferry: Callable[..., Ran], arguments: list[str], asked: object
) -> None:
    """It says how many were meant."""
    assert vecferry("retry", *arguments) == (0, "2 intent(s) will be tried again now\n", "")
    assert control.retries == [asked]


def test_retry_of_a_collection_and_an_id_is_neither(
    control: Control, vecferry: Callable[..., Ran]
) -> None:
    """Which of the two was meant cannot be known."""
    code, out, err = vecferry("retry", "docs", "--id", str(UUID(int=1)))
    assert (code, out, "not both" in err, control.retries) == (1, "", True, [])


def test_an_export_has_every_line(
    control: Control, vecferry: Callable[..., Ran], tmp_path: Path
) -> None:
    """Page by page, with every id, on standard output or in a file; how many goes to standard error."""
    lines = [line(number, ids=list(range(500))) for number in (1, 2, 3)]
    control.pages = {None: page(*lines[:2], following="b"), "b": page(lines[2])}
    code, out, err = vecferry("export")
    assert (code, err) == (0, "3 intent(s) exported\n")
    assert [json.loads(each) for each in out.splitlines()] == lines
    file = tmp_path / "ledger.jsonl"
    assert vecferry("export", "--output", str(file)) == (0, "", err)
    assert file.read_text() == out
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("broken", [page(source="away"), VecferryError("away")])
def test_half_an_export_does_not_look_like_a_whole_one(
    control: Control, vecferry: Callable[..., Ran], tmp_path: Path, broken: Any
) -> None:
    """The file of an earlier export stays as it was, and the status is 1."""
    control.pages = {None: page(line(1), following="b"), "b": broken}
    file = tmp_path / "ledger.jsonl"
    file.write_text("before\n")
    code, _, err = vecferry("export", "--output", str(file))
    assert (code, "away" in err, file.read_text()) == (1, True, "before\n")


def test_an_id_is_never_broken(
    control: Control, vecferry: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``ledger retry --id`` takes whole ids; a narrow terminal or a pipe must not fold them."""
    monkeypatch.setenv("COLUMNS", "60")
    control.pages[None] = page(line(1, error="a long story " * 20, failures=3))
    _, out, _ = vecferry("list")
    assert str(UUID(int=1)) in out
    assert max(map(len, out.splitlines())) < 250


def test_an_export_that_cannot_be_written_ends_with_one_line(
    control: Control, vecferry: Callable[..., Ran], tmp_path: Path
) -> None:
    """A directory that is not there is the operator's typing error, not a traceback."""
    control.pages[None] = page(line(1))
    output = tmp_path / "missing" / "ledger.jsonl"
    code, _, err = vecferry("export", "--output", str(output))
    assert (code, err) == (1, f"vecferry: cannot write {output}: No such file or directory\n")
