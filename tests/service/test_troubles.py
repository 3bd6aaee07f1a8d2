"""Failures that repeat: how often they are said."""

import asyncio
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


def test_a_loop_outlives_what_fails_in_it() -> None:
    """A store's failure is a trouble, anything else a fault with its trace; only a cancellation gets out."""
    trouble = Trouble("sweep_failed")

    def go_on(failure: BaseException | None = None) -> None:
        with trouble.contained("sweep_broken"):
            if failure is not None:
                raise failure

    with capture_logs() as said:
        go_on(TargetUnavailable("away"))
        go_on(ZeroDivisionError())
        go_on()
        with pytest.raises(asyncio.CancelledError):
            go_on(asyncio.CancelledError())
    assert [(line["event"], line["log_level"]) for line in said] == [
        ("sweep_failed", "warning"),
        ("sweep_broken", "error"),
        ("sweep_failed_no_more", "info"),
    ]
