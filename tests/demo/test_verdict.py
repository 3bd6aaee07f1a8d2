"""Tests of the last line."""

from dataclasses import replace

from tests.demo.verdict import Checked, Verdict

GOOD = Verdict(requests=900, errors=0, checked=Checked(5000, [], 0.9985))


def test_a_good_run_says_so_in_one_line() -> None:
    """The line is read by scripts, so its form is fixed."""
    assert GOOD.line == "demo: OK requests=900 errors=0 points=5000 differing=0 parity=0.999"
    assert GOOD.reasons == []


def test_every_figure_can_fail_the_run() -> None:
    """Each bad figure alone is a reason."""
    bad = [
        replace(GOOD, errors=1),
        replace(GOOD, requests=0),
        replace(GOOD, failure="the proxy ended"),
        replace(GOOD, checked=None),
        replace(GOOD, checked=Checked(5000, ["point 1: missing"], 1.0)),
        replace(GOOD, checked=Checked(5000, [], 0.949)),
        replace(GOOD, checked=Checked(0, [], 1.0)),
    ]
    assert [len(verdict.reasons) for verdict in bad] == [1] * len(bad)
    assert all(verdict.line.startswith("demo: FAILED") for verdict in bad)


def test_a_failed_run_names_its_reasons() -> None:
    """The reader learns why from the line itself."""
    verdict = replace(GOOD, errors=3, checked=None)
    assert verdict.line == (
        "demo: FAILED requests=900 errors=3 "
        "(3 wrong answers; the independent check was not reached)"
    )
