"""Failures that repeat: how often they are said."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service import troubles
from service.errors import TargetUnavailable
from service.troubles import Trouble


def test_what_repeats_is_said_once_and_its_end_is_said() -> None:
    """A poll ten times a second must not write ten lines a second for as long as a store is away."""
    trouble = Trouble("control_state_unreadable")
    with capture_logs() as said:
        trouble.is_over()
        for _ in range(100):
            trouble.goes_on(TargetUnavailable("away"))
        trouble.is_over()
        trouble.is_over()
        trouble.goes_on(TimeoutError())
    assert [_told(line) for line in said] == [
        ("control_state_unreadable", 1),
        ("control_state_unreadable_no_more", 100),
        ("control_state_unreadable", 1),
    ]
    assert ("away" in said[0]["error"], said[2]["error"]) == (True, "no answer in time")


def test_what_lasts_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens the log in the middle of an outage finds it there."""
    monkeypatch.setattr(troubles, "_EVERY_SECONDS", 0.0)
    trouble = Trouble("sweep_failed")
    with capture_logs() as said:
        trouble.goes_on(TargetUnavailable("away"))
        trouble.goes_on(TargetUnavailable("away"))
    assert [_told(line) for line in said] == [("sweep_failed", 1), ("sweep_failed", 2)]


def _told(line: Any) -> tuple[str, int]:
    return line["event"], line["times"]
