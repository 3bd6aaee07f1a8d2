"""``python -m tests.faults.serve``: ``vecferry serve`` that ends, or stops, itself at a named step when told to.

It splits jobs into ranges of ``RANGE_POINTS``, so that small collections have many. The order is a file
(``VECFERRY_TEST_ORDER`` names it) with three words: the signal, the step, and at which arrival since the order was
given. No file, no effect.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from backfill import splitting, verify_steps
from service import steps
from service.cli.app import main
from service.steps import Step

VARIABLE = "VECFERRY_TEST_ORDER"
RANGE_POINTS = 100


@dataclass(frozen=True, slots=True)
class Order:
    """Send yourself this signal at the n-th arrival at the step."""

    signal: signal.Signals
    step: Step
    arrival: int

    def give(self, path: Path) -> None:
        """Put the order where the instance looks, all of it at once."""
        draft = path.with_suffix(".new")
        draft.write_text(f"{self.signal.name} {self.step} {self.arrival}")
        draft.rename(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the present order."""
        try:
            name, step, arrival = path.read_text().split()
        except FileNotFoundError:
            return None
        return cls(signal.Signals[name], Step(step), int(arrival))


def watcher(path: Path, act: Callable[[signal.Signals], None]) -> Callable[[Step], None]:
    """Return what to call at every step; it carries an order out once and removes it."""
    arrivals = 0

    def watch(step: Step) -> None:
        nonlocal arrivals
        order = Order.read(path)
        if order is None or order.step is not step:
            return
        arrivals += 1
        if arrivals >= order.arrival:
            arrivals = 0
            path.unlink()
            act(order.signal)

    return watch


def _to_myself(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    splitting._POINTS_PER_RANGE = verify_steps._POINTS_PER_RANGE = RANGE_POINTS
    steps.watch = watcher(Path(os.environ[VARIABLE]), _to_myself)
    sys.argv = ["vecferry", "serve"]
    main()
