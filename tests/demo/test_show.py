"""Tests of what is printed."""

import io
from contextlib import suppress

import pytest
from rich.console import Console

from tests.demo.journal import Journal, Kind, Section, Wrong
from tests.demo.show import Show, stage_line


def test_figures_stand_under_their_columns() -> None:
    """Numbers end where the names of their columns end."""
    out = io.StringIO()
    Show(Console(file=out)).header()
    section = Section("ramp 10 %", started=0.0, milliseconds=[1.0, 3.0], errors=2, ended=1.26)
    line = stage_line(section, 0.98765)
    assert line.split() == ["ramp", "10", "%", "1.3", "2", "2", "0.9877", "2.0", "3.0"]
    assert len(line) == len(out.getvalue().rstrip("\n"))


def test_what_was_not_measured_is_a_dash() -> None:
    """No parity and no latency are never shown as zero."""
    line = stage_line(Section("off", started=0.0, ended=1.0), None)
    assert line.split() == ["off", "1.0", "0", "0", "–", "–", "–"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_stage_is_printed_also_when_it_fails(is_terminal: bool) -> None:
    """The reader sees how far it came."""
    out = io.StringIO()
    show = Show(Console(file=out, force_terminal=is_terminal, width=100))
    journal = Journal()
    with suppress(RuntimeError), show.stage(journal, "backfill"):
        journal.answered(0.001)
        journal.end()
        raise RuntimeError
    last = out.getvalue().splitlines()[-1]
    assert last.endswith(stage_line(journal.current, None))


def test_plain_text_has_no_escape_codes() -> None:
    """Without a terminal the output is lines of text and nothing else."""
    out = io.StringIO()
    show = Show(Console(file=out))
    with show.progress("texts embedded", 3) as progress:
        progress(3)
    show.result("demo: OK requests=1", is_good=True)
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "demo: OK requests=1"
    assert "texts embedded: 3 in" in out.getvalue()


def test_only_the_first_complaints_are_printed() -> None:
    """A flood of errors does not bury the first ones."""
    out = io.StringIO()
    journal = Journal()
    journal.begin("live")
    for number in range(8):
        journal.wrong("client_1", "count", Wrong(Kind.WRONG_COUNT, f"number {number}"))
    Show(Console(file=out, width=200)).first("wrong answers", journal.complaints)
    assert "number 4" in out.getvalue()
    assert "number 5" not in out.getvalue()
    assert "8 wrong answers" in out.getvalue()
