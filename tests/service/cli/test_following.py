"""Long jobs as the command line follows them: what counts as an end, and what is printed until then."""

import io
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from rich.console import Console

from service.cli import following
from service.cli.bars import bars_on
from service.cli.client import ControlClient
from service.cli.following import Bars, Lines, follow, run
from service.errors import StageError, VecferryError
from tests.service.cli.shown import a_job

DOCS = "backfill", "docs"


class Instance:
    """An instance whose jobs are ``polls``, one list after the other; an error is raised."""

    def __init__(self, *polls: Sequence[dict[str, Any]] | BaseException) -> None:
        self.polls = list(polls)
        self.kinds: set[str | None] = set()

    def start(self, kind: str, name: str, body: object) -> dict[str, Any]:
        """Begin a job."""
        assert (kind, body) == ("backfill", {"restart": True})
        if name == "refused":
            message = "not now"
            raise StageError(message)
        state = "done" if name == "complete" else "running"
        return a_job(collection=name, state=state, phase=state)

    def jobs(self, pattern: str, kind: str | None) -> Sequence[dict[str, Any]]:
        """Return what the next poll finds."""
        assert pattern == "*"
        self.kinds.add(kind)
        found = self.polls.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    def follow(self, kind: str, name: str) -> dict[str, Any]:
        """Return a job with its result."""
        return {"job": _ended(name, kind=kind) | {"result": {"indexes": []}}}


def _ended(name: str, state: str = "done", **changes: Any) -> dict[str, Any]:
    return a_job(collection=name, state=state, phase=state, **changes)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_POLL_SECONDS", 0.001)


def test_every_job_comes_to_an_end_of_its_own() -> None:
    """A refused and a dropped job have failed with the reason; the others are followed to their ends."""
    running = [a_job(collection="good"), a_job(collection="cancelled")]
    instance = Instance(running, [_ended("good"), _ended("cancelled", "cancelled")])
    names = ["refused", "dropped", "good", "cancelled", "complete"]
    jobs = run(cast("ControlClient", instance), "backfill", names, {"restart": True})
    assert list(jobs) == names
    assert [job["state"] for job in jobs.values()] == [
        "failed", "failed", "done", "cancelled", "done",
    ]  # fmt: skip
    assert jobs["refused"]["error"] == "not now"
    assert jobs["dropped"]["error"] == "the collection was dropped, and the job with it"
    assert jobs["good"]["result"] == {"indexes": []}
    assert jobs["complete"]["was_done"]
    assert instance.kinds == {"backfill"}


def test_both_kinds_are_shown_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A verification is not hidden behind the backfills that are open beside it; each keeps its own result."""
    check = "verify", "docs"
    running, verifying = a_job(), a_job(kind="verify", scanned=7)
    instance = Instance(
        [running, verifying],
        [running, _ended("docs", kind="verify", scanned=9)],
        [_ended("docs"), _ended("docs", kind="verify", scanned=9)],
    )
    jobs = follow(cast("ControlClient", instance), [DOCS, check])
    assert {which: (job["kind"], job["state"]) for which, job in jobs.items()} == {
        DOCS: ("backfill", "done"),
        check: ("verify", "done"),
    }
    told = [each.partition(" points")[0] for each in capsys.readouterr().err.splitlines()]
    assert told == ["docs backfill: running, 0/100,000", "docs verify: running, 7/100,000"]
    interrupted = Instance([running, verifying], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        follow(cast("ControlClient", interrupted), [DOCS, check])
    said = capsys.readouterr().err
    assert "backfill of 1 collection(s) goes on" in said
    assert "verify of 1 collection(s) goes on" in said


def test_an_instance_that_is_restarted_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Its job is stored. The reason is told once; what can never succeed ends the command."""
    away = VecferryError("nobody answers")
    instance = Instance([a_job()], away, away, [_ended("docs")])
    assert follow(cast("ControlClient", instance), [DOCS])[DOCS]["state"] == "done"
    assert capsys.readouterr().err.count("waiting for the instance: nobody answers") == 1
    with pytest.raises(StageError):
        follow(cast("ControlClient", Instance(StageError("wrong key"))), [DOCS])


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that does not come back is an error, and not silence for ever."""
    monkeypatch.setattr(following, "_PATIENCE_SECONDS", 0.0)
    away = VecferryError("nobody answers")
    with pytest.raises(VecferryError, match="nobody answers"):
        follow(cast("ControlClient", Instance(away, away, away)), [DOCS])


def test_ctrl_c_leaves_the_job_running(capsys: pytest.CaptureFixture[str]) -> None:
    """And says how to follow it."""
    instance = Instance([a_job()], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        follow(cast("ControlClient", instance), [DOCS])
    assert "goes on; follow it with `vecferry jobs watch docs`" in capsys.readouterr().err


def _clock(*moments: float) -> Callable[[], float]:
    left = list(moments)
    return lambda: left.pop(0)


def test_lines_come_with_time_and_with_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """One per five seconds and job, one at once when the state changes, none for a job's end: that is reported."""
    lines = Lines(clock=_clock(0.0, 1.0, 2.0, 2.1, 4.0, 6.9, 7.0, 8.0, 9.0))
    lines.show("docs", a_job(phase="preparing"))
    lines.show("docs", a_job(phase="preparing"))
    lines.show("docs", a_job(scanned=1))
    lines.show("other", a_job())
    lines.show("docs", a_job(scanned=2))
    lines.show("docs", a_job(scanned=3))
    lines.show("docs", a_job(scanned=4))
    lines.show("docs", a_job(scanned=5, options={"paused": True}))
    lines.show("docs", _ended("docs"))
    told = [each.partition(" points")[0] for each in capsys.readouterr().err.splitlines()]
    assert told == [
        "docs: preparing, 0/100,000",
        "docs: running, 1/100,000",
        "other: running, 0/100,000",
        "docs: running, 4/100,000",
        "docs: paused, 5/100,000",
    ]


def test_a_terminal_has_a_bar_per_job() -> None:
    """It moves with the points; a total that is not known yet makes a bar without an end."""
    bars = bars_on(Console(force_terminal=True, width=80, file=(written := io.StringIO())))
    with bars:
        display = Bars(bars)
        display.show("docs", a_job(total=None))
        display.show("docs", a_job(scanned=50_000, note="target latency"))
        display.show("[odd]", a_job(scanned=1))
    one, other = bars.tasks
    assert (one.completed, one.total, other.description) == (50_000, 100_000, "[odd]")
    assert "50,000 target latency" in written.getvalue()
    assert "[odd]" in written.getvalue()
