"""What a command says while it works."""

import pytest

from service.cli.counting import Lines, line


def test_a_line_says_what_is_known() -> None:
    """The share needs a total, the time left a rate."""
    assert line(5, None, "points", None) == "5 points"
    assert line(1_500, 3_000, "points", None) == "1,500/3,000 points (50%)"
    assert line(1_500, 3_000, "points", 100.0) == (
        "1,500/3,000 points (50%), 100 points/s, 15 s left"
    )
    assert line(3_100, 3_000, "points", 100.0) == "3,100/3,000 points (100%), 100 points/s"


def test_lines_come_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error; a short run has none."""
    now = 100.0
    lines = Lines("things", "points", clock=lambda: now)
    for second in range(1, 13):
        now = 100.0 + second
        lines.show(second * 10, 1_000)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "things: 50/1,000 points (5%), 10 points/s, 1 min 35 s left",
        "things: 100/1,000 points (10%), 10 points/s, 1 min 30 s left",
    ]
