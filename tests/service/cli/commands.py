"""Commands run in this process, so that a test sees what they print and how they end."""

import asyncio
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from service.cli import app


class Ran(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ran:
    """Run a command on this thread: for tests that answer it themselves."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["vecferry", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            app.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.argv = before
    return Ran(code, out.getvalue(), err.getvalue())


async def vecferry(*arguments: str) -> Ran:
    """Run a command in a thread, so that the control API can answer it."""
    return await asyncio.to_thread(run, *arguments)
