"""Tests of running the command line, with stand-in commands."""

import json
import sys
from pathlib import Path

import pytest

from tests.demo import operator_cli
from tests.demo.operator_cli import CommandFailed, Operator, mean_parity, parse_status, receipt_line

STATUS = {
    "instance": "one",
    "collections": [
        {
            "name": name,
            "stage": "shadow",
            "percent": 0,
            "epoch": 3,
            "frozen": False,
            "ledger": ledger,
            "points": 1000,
            "backfill": None,
            "parity": parity,
        }
        for name, ledger, parity in (
            ("a", 0, {"samples": 30, "overlap": 1.0}),
            ("b", 2, {"samples": 10, "overlap": 0.8}),
            ("c", 0, None),
        )
    ],
}


def test_status_is_read_and_parity_is_weighted_by_samples() -> None:
    """Collections without samples count for nothing."""
    statuses = parse_status(json.dumps(STATUS))
    assert [(entry.name, entry.ledger, entry.samples) for entry in statuses] == [
        ("a", 0, 30),
        ("b", 2, 10),
        ("c", 0, 0),
    ]
    assert mean_parity(statuses) == pytest.approx(0.95)
    assert mean_parity(statuses[2:]) is None


def test_a_receipt_is_one_line() -> None:
    """With what was compared, and the digests of both stores."""
    document = {
        "collection": "a", "clean": True, "compared": 1200,
        "digest": {
            "points": 1199, "source": {"content": "0123456789abcdef" * 2},
            "target": {"content": "0123456789abcdef" * 2},
        },
    }  # fmt: skip
    assert receipt_line(json.dumps(document)) == (
        "receipt of a: clean, 1,200 points compared, 1,199 agreed at first sight, "
        "digest 0123456789abcdef = 0123456789abcdef"
    )
    assert ": NOT CLEAN, " in receipt_line(json.dumps(document | {"clean": False}))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace vecferry by a Python script that the test writes."""
    script = tmp_path / "stand_in.py"
    monkeypatch.setattr(operator_cli, "vecferry_command", lambda: [sys.executable, str(script)])
    return script


async def test_a_command_gets_arguments_and_environment(stand_in: Path, tmp_path: Path) -> None:
    """What it prints is returned and logged."""
    stand_in.write_text("import os, sys; print(sys.argv[1:], os.environ['VECFERRY_X'])")
    printed = await Operator({"VECFERRY_X": "y"}, tmp_path / "log").run(
        "stage", "set", "a*", "live"
    )
    assert printed.strip() == "['stage', 'set', 'a*', 'live'] y"
    assert (tmp_path / "log").read_text().startswith("$ vecferry stage set a* live  # ")


async def test_a_failed_command_shows_what_it_printed(stand_in: Path, tmp_path: Path) -> None:
    """An exit code is never ignored."""
    stand_in.write_text("import sys; print('no way from off to live'); sys.exit(1)")
    with pytest.raises(CommandFailed, match=r"(?s)vecferry stage: exit code 1.*no way from off"):
        await Operator({}, tmp_path / "log").run("stage")


async def test_a_ledger_that_stays_is_an_error(stand_in: Path, tmp_path: Path) -> None:
    """The check does not begin while anything is owed."""
    stand_in.write_text(f"print({json.dumps(STATUS)!r})")
    with pytest.raises(CommandFailed, match="ledger is not empty"):
        await Operator({}, tmp_path / "log").wait_for_empty_ledger(0.5)
