"""What is said of a finished verification."""

from typing import Any

from service.cli import verify
from tests.service.cli.commands import run
from tests.service.cli.shown import a_job


def _described(**changes: Any) -> str:
    result = {
        "clean": True, "compared": 9, "differing": 0, "unsettled": 0, "rechecked": 2, "excluded": 0,
        "faults": [], "differing_ids": [], **changes,
    }  # fmt: skip
    return verify._describe(a_job(kind="verify", state="done", result=result))


def test_equal_stores_want_no_advice() -> None:
    """One line, and nothing to do."""
    told = "equal: 9 ids compared, 0 differing, 0 unsettled, 2 differed at first sight"
    assert _described() == told


def test_waived_ids_are_told_beside_the_verdict() -> None:
    """Who reads `equal` has to know what was left out of it."""
    assert _described(excluded=2).endswith("2 differed at first sight, 2 waived and left out")


def test_differences_come_with_what_to_do_next() -> None:
    """The first ids, how many more there are, and the commands that go on from here."""
    ids = [{"id": number, "kinds": ["missing"]} for number in range(1, 12)]
    lines = _described(clean=False, differing=12, differing_ids=ids).splitlines()
    assert lines[0].startswith("NOT EQUAL: ")
    assert lines[10:12] == ["  10: missing", "  and 2 more"]
    assert "`vecferry repair docs`" in lines[12]
    assert "`vecferry quarantine list docs`" in lines[12]


def test_a_run_that_nobody_waits_for_has_no_receipt_to_print() -> None:
    """An option is not passed over in silence."""
    code, out, err = run("verify", "docs", "--detach", "--json")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--detach" in err
