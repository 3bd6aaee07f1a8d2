"""What the process writes to standard error, seen from outside."""

import json
import subprocess
import sys
from typing import Any

import pytest

_PROGRAM = """
import logging, sys
import structlog
from service import logs
logs.configure(level=sys.argv[1], output=sys.argv[2])
log = structlog.get_logger("x")
log.debug("fine", a=1)
log.info("request", path="/ü", value=object)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
logging.getLogger("asyncio").info("chatter")
logging.getLogger("asyncio").error("a task %s", "died")
print("out")
"""


def _run(level: str, output: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, level, output],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert ran.stdout == "out\n"
    return ran.stderr


def _lines(level: str, output: str = "json") -> list[dict[str, Any]]:
    return [json.loads(line) for line in _run(level, output).splitlines()]


def test_every_line_is_json_with_an_event() -> None:
    """Ours and those of libraries, exceptions included, one line each; values of any kind are written."""
    request, broken, died = _lines("info")
    assert (request["event"], request["level"], request["path"]) == ("request", "info", "/ü")
    assert request["timestamp"].endswith("Z")
    assert (broken["event"], "ZeroDivisionError" in broken["exception"]) == ("broken", True)
    assert (died["event"], died["level"], died["logger"]) == ("a task died", "error", "asyncio")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("warning", 2), ("error", 2)])
def test_the_level_is_the_least_that_is_written(level: str, count: int) -> None:
    """Libraries are heard from warnings upwards at every level."""
    assert len(_lines(level)) == count


def test_where_nobody_looks_auto_is_json() -> None:
    """Standard error is a pipe here, as it is in a container."""
    assert len(_lines("info", "auto")) == 3


def test_the_console_has_columns() -> None:
    """For a person: the event and its fields, and a stack trace where there is one."""
    written = _run("info", "console")
    assert "request" in written
    assert "ZeroDivisionError" in written
    assert not written.startswith("{")
