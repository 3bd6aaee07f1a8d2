"""What the demo prints: progress bars and a live line on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tests.demo.journal import Journal, Section

_COLUMNS = (
    f"{'stage':<16}{'seconds':>8}{'requests':>10}{'errors':>8}"
    f"{'parity':>9}{'p50 ms':>9}{'p99 ms':>9}"
)
_REFRESHES_PER_SECOND = 5
_SHOWN = 5


def stage_line(section: Section, parity: float | None) -> str:
    """Return a stage's figures under the header's columns; a dash for what was not measured."""
    p50, p99 = section.percentile(50), section.percentile(99)
    return (
        f"{section.stage:<16}{section.seconds:>8.1f}{section.requests:>10}{section.errors:>8}"
        f"{_number(parity, 4):>9}{_number(p50, 1):>9}{_number(p99, 1):>9}"
    )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


class Show:
    """Prints for people; the console decides how much it may decorate."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._is_terminal = console.is_terminal
        self.parity: float | None = None

    def title(self, text: str) -> None:
        """Print a headline."""
        self._console.print(Text(text, style="bold"))

    def say(self, text: str) -> None:
        """Print one line as it is."""
        self._console.print(Text(text), soft_wrap=True)

    def result(self, text: str, *, is_good: bool) -> None:
        """Print the last line."""
        self._console.print(
            Text(text, style="bold green" if is_good else "bold red"), soft_wrap=True
        )

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show a bar while the block runs, then one line with the time it took."""
        start = time.monotonic()
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        bars = Progress(
            *columns, console=self._console, transient=True, disable=not self._is_terminal
        )
        with bars:
            task = bars.add_task(label, total=total)
            yield lambda done: bars.advance(task, done)
        self.say(f"  {label}: {total:,} in {time.monotonic() - start:.1f} s")

    def header(self) -> None:
        """Print the columns of the stage lines."""
        self._console.print(Text(_COLUMNS, style="bold"), soft_wrap=True)

    @contextmanager
    def stage(self, journal: Journal, name: str) -> Iterator[Section]:
        """Begin a stage, show its figures while the block runs, and print them when it ends."""
        section = journal.begin(name)
        live = Live(
            console=self._console,
            transient=True,
            refresh_per_second=_REFRESHES_PER_SECOND,
            get_renderable=lambda: Text(stage_line(section, self.parity), style="cyan"),
        )
        try:
            if self._is_terminal:
                with live:
                    yield section
            else:
                yield section
        finally:
            self.say(stage_line(section, self.parity))

    def first(self, what: str, items: Sequence[object]) -> None:
        """Print the first of the items, and how many there are."""
        if items:
            self.say(f"  {len(items)} {what}:")
        for item in items[:_SHOWN]:
            self.say(f"    {item}")
