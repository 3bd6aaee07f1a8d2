"""``vecferry receipt``: what is printed, what is written, and what a changed file is told."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backfill.signature import signed
from service.cli.client import ControlClient
from service.errors import StageError
from tests.backfill.documents import receipt_of
from tests.service.cli.commands import Ran, run

KEY = "the operator's key"


class Control:
    """A control API with one receipt."""

    def __init__(self) -> None:
        self.document = signed(receipt_of(7, 2**64 - 1).to_json(), KEY.encode())
        self.listed: list[dict[str, Any]] = []

    def receipts(self, collection: str | None, limit: int) -> list[dict[str, Any]]:
        return [each for each in self.listed if collection in {None, each["collection"]}][:limit]

    def receipt(self, wanted: str) -> dict[str, Any]:
        if wanted not in {"docs", str(self.document["receipt"])}:
            message = f"`{wanted}` has no receipt"
            raise StageError(message)
        return self.document


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Control:
    """The control API that the commands find."""
    control = Control()
    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: control))
    monkeypatch.setenv("COLUMNS", "200")
    return control


@pytest.fixture
def vecferry() -> Callable[..., Ran]:
    """Run ``vecferry receipt …``."""
    return partial(run, "receipt")


def test_show_says_what_counts_and_fails_for_a_difference(
    control: Control, vecferry: Callable[..., Ran]
) -> None:
    """Exit 1 unless clean."""
    code, out, _ = vecferry("show", "docs")
    assert code == 1
    assert "docs: NOT EQUAL" in out
    assert "18446744073709551615: payload, vector" in out
    control.document = receipt_of().to_json()
    code, out, _ = vecferry("show", str(control.document["receipt"]))
    assert code == 0
    assert "docs: equal" in out
    assert "not signed" in out
    assert json.loads(vecferry("show", "docs", "--json")[1]) == control.document


def test_the_list(control: Control, vecferry: Callable[..., Ran]) -> None:
    """A line per receipt; an empty one says how to make some."""
    assert "vecferry verify" in vecferry("list")[1]
    control.listed = [
        {"id": "1", "collection": "docs", "created_at": "2026", "clean": True},
        {"id": "2", "collection": "other", "created_at": "2025", "clean": False},
    ]
    out = vecferry("list")[1]
    assert "docs" in out
    assert "NOT EQUAL" in out
    assert json.loads(vecferry("list", "docs", "--json")[1]) == control.listed[:1]


def test_a_saved_receipt_is_verified_and_a_changed_one_is_not(
    control: Control,
    vecferry: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit 0 for what was signed, 1 for anything else; the page goes with it."""
    file, html = tmp_path / "receipt.json", tmp_path / "receipt.html"
    code, out, _ = vecferry("save", "docs", "--json", str(file), "--html", str(html))
    assert code == 0
    assert out.splitlines() == [f"written: {html}", f"written: {file}"]
    assert html.read_text().startswith("<!doctype html>")
    monkeypatch.setenv("VECFERRY_RECEIPT_KEY", KEY)
    assert vecferry("verify", str(file)) == (0, f"{file}: the signature is valid\n", "")
    file.write_text(file.read_text().replace('"differing": 2', '"differing": 0'))
    code, out, _ = vecferry("verify", str(file))
    assert (code, "CHANGED" in out) == (1, True)
    signed_text = json.dumps(control.document)
    # The last of two members of one name counts for most readers, and the first for some.
    file.write_text(signed_text.replace("{", '{"clean": true, ', 1))
    code, _, err = vecferry("verify", str(file))
    assert (code, "more than one member `clean`" in err) == (1, True)
    file.write_text(signed_text.replace("null", "NaN", 1))
    assert vecferry("verify", str(file))[0] == 1
    monkeypatch.setenv("VECFERRY_RECEIPT_KEY", "another")
    file.write_text(signed_text.replace('"differing": 2', '"differing": 0'))
    code, out, _ = vecferry("verify", str(file))
    assert (code, "another key" in out) == (1, True)
    file.write_text(json.dumps(receipt_of().to_json()))
    code, out, _ = vecferry("verify", str(file))
    assert (code, "not signed" in out) == (1, True)


def test_without_a_key_nothing_can_be_checked(
    control: Control, vecferry: Callable[..., Ran], tmp_path: Path
) -> None:
    """A missing setting is named and ends with exit 2."""
    file = tmp_path / "receipt.json"
    assert vecferry("save", "docs", "--json", str(file))[0] == 0
    code, _, err = vecferry("verify", str(file))
    assert code == 2
    assert "VECFERRY_RECEIPT_KEY" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>", "is not JSON"),
        ("[]", "is not a receipt"),
        ("{}", "is not a receipt"),
        ('{"format": "vecferry-export"}', "is not a receipt"),
    ],
)
def test_what_is_no_receipt_is_said(
    vecferry: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    said: str,
) -> None:
    """One line with the file's name."""
    monkeypatch.setenv("VECFERRY_RECEIPT_KEY", KEY)
    file = tmp_path / "x"
    code, _, err = vecferry("verify", str(file))
    assert (code, "cannot read" in err) == (1, True)
    file.write_text(text)
    code, _, err = vecferry("verify", str(file))
    assert (code, said in err) == (1, True)


def test_save_needs_a_place(control: Control, vecferry: Callable[..., Ran], tmp_path: Path) -> None:
    """And says so; a place that cannot be written is named."""
    assert "--html FILE" in vecferry("save", "docs")[2]
    code, _, err = vecferry("save", "docs", "--json", str(tmp_path / "no" / "x"))
    assert (code, "cannot write" in err) == (1, True)
    assert vecferry("save", "none", "--json", str(tmp_path / "x"))[0] == 1
