"""Child processes of the same interpreter that find this package and do not outlive their parent for long."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import service

_ROOT = str(Path(service.__file__).parent.parent)
_PR_SET_PDEATHSIG = 1


def spawn(
    module: str, arguments: Sequence[str], *, inherit: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` with these file descriptors; it reads nothing from our standard input."""
    return subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        env=child_environment(),
        pass_fds=tuple(inherit),
    )


def child_environment() -> dict[str, str]:
    """Return our environment, changed so that a child finds this package wherever it was started."""
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends; elsewhere, do nothing.

    Only for processes started by a main thread, and only where being killed at any point is harmless.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
