"""Bars as all commands draw them."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn


def bars_on(console: Console) -> Progress:
    """Return the bars, to be entered as long as they are shown; a task's field ``text`` stands behind its bar."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[text]}", markup=False),
        console=console,
    )
