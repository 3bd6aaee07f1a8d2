"""Runs spin on a case: translate, compile, search, and read what the search says of itself."""

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.model.cases import Case

INSTALL = "apt-get install spin gcc"
MODELS = Path(__file__).parent
_DEEPEST = 100_000
_MOST_MEGABYTES = 3_500

_NUMBER = {
    "states": re.compile(r"^\s*(\d+) states, stored", re.MULTILINE),
    "depth": re.compile(r"depth reached (\d+)"),
    "errors": re.compile(r"errors: (\d+)"),
}
_FOUND = re.compile(r"^pan:\d+: (.*) \(at depth (\d+)\)", re.MULTILINE)
_STEP = re.compile(
    r"^\s*\d+:\s+proc\s+\d+ \((\w+):\d+\) \S*?(\w+\.pml:\d+) \(state \d+\)\s+\[(.*)\]"
)
_SILENT = re.compile(r"^(\(1\)|else|\.\(goto\)|goto \w+|\(run .*\)|w = .*|\(\(?w<.*)$")


@dataclass(frozen=True, slots=True)
class Search:
    """A search that ended. ``found`` is the claim that fails, ``steps`` the length of the shortest way there."""

    states: int
    depth: int
    seconds: float
    is_complete: bool
    found: str | None
    steps: int
    trail: tuple[str, ...]


def missing() -> str | None:
    """Return what has to be installed, ``None`` when spin and a compiler are there."""
    return None if shutil.which("spin") and shutil.which("gcc") else INSTALL


def explore(case: Case) -> Search:
    """Search all states of a model; breadth first for a mutation, so that the counterexample is a shortest one."""
    began = time.monotonic()
    flags = [f"-D{name}" for name in case.defines]
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        at = Path(folder)
        model = MODELS / f"{case.model}.pml"
        _run(["spin", "-a", *flags, str(model)], at)
        order = ["-DBFS"] if case.rule else []
        bound = f"-DMEMLIM={_MOST_MEGABYTES}"
        _run(["gcc", "-O2", "-w", "-DSAFETY", bound, *order, "-o", "pan", "pan.c"], at)
        said = _run([str(at / "pan"), "-n", f"-m{_DEEPEST}"], at)
        found = _FOUND.search(said)
        trail = _trail(model, flags, at) if found else ()
    numbers = {name: int(_first(pattern, said)) for name, pattern in _NUMBER.items()}
    return Search(
        numbers["states"],
        numbers["depth"],
        time.monotonic() - began,
        is_complete="not completed" not in said
        and "too small" not in said
        and "error:" not in said,
        found=found[1] if found else None,
        steps=int(found[2]) if found else 0,
        trail=trail,
    )


def _trail(model: Path, flags: list[str], at: Path) -> tuple[str, ...]:
    """Return the steps of the counterexample, without those that change nothing."""
    path = next(at.glob("*.trail"))
    said = _run(["spin", "-t", "-p", "-k", str(path), *flags, str(model)], at)
    steps = [match.groups() for line in said.splitlines() if (match := _STEP.match(line))]
    return tuple(
        f"{who:<12}{where:<16}{what}" for who, where, what in steps if not _SILENT.match(what)
    )


def _first(pattern: re.Pattern[str], said: str) -> str:
    match = pattern.search(said)
    assert match, said
    return match[1]


def _run(command: list[str], at: Path) -> str:
    """Return what a command says; pan and spin -t end with 0 also when they found an error."""
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
