"""How far a command has come that works by itself: a bar on a terminal, plain lines elsewhere; on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from backfill.progress import Speedometer
from service.cli.bars import bars_on
from service.cli.rendering import duration

_LINE_SECONDS = 5.0

Show = Callable[[int, int | None], None]
"""Takes how many are done, of how many; the latter if it is known."""


@contextmanager
def counted(name: str, unit: str) -> Iterator[Show]:
    """Show progress for the length of a block; ``unit`` is what is counted."""
    if sys.stderr.isatty():
        with bars_on(Console(stderr=True)) as bars:
            task = bars.add_task(name, total=None, text="")
            meter = Speedometer()

            def move(done: int, total: int | None) -> None:
                meter.saw(done, at=time.monotonic())
                text = line(done, total, unit, meter.points_per_second)
                bars.update(task, completed=done, total=total or None, text=text)

            yield move
    else:
        yield Lines(name, unit).show


class Lines:
    """A line every few seconds; nothing of what takes less."""

    def __init__(
        self, name: str, unit: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._unit = unit
        self._clock = clock
        self._meter = Speedometer()
        self._shown_at = clock()

    def show(self, done: int, total: int | None) -> None:
        """Print a line if it is time for one."""
        now = self._clock()
        self._meter.saw(done, at=now)
        if now - self._shown_at >= _LINE_SECONDS:
            self._shown_at = now
            text = line(done, total, self._unit, self._meter.points_per_second)
            typer.echo(f"{self._name}: {text}", err=True)


def line(done: int, total: int | None, unit: str, per_second: float | None) -> str:
    """Return how far it is, how fast it goes and how long it still takes, as far as that is known."""
    of = "" if not total else f"/{total:,}"
    share = "" if not total else f" ({min(1.0, done / total):.0%})"
    parts = [f"{done:,}{of} {unit}{share}"]
    if per_second:
        parts.append(f"{per_second:,.0f} {unit}/s")
        if total and total > done:
            parts.append(f"{duration((total - done) / per_second)} left")
    return ", ".join(parts)
