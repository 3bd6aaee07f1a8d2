"""How tables are printed: an id in one is there to be copied, so its lines run on where the terminal is narrow."""

from rich.console import Console
from rich.table import Table

_UNBOUNDED = 10_000


def show(table: Table) -> None:
    """Print a table on standard output, as wide as it has to be."""
    console = Console()
    options = console.options.update(width=_UNBOUNDED)
    needed = console.measure(table, options=options).maximum
    Console(width=max(needed, console.width)).print(table)
