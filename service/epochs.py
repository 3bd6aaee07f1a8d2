"""Under which epoch of its collection a read was made, for whoever must know that it is still the current one.

A store that has made sure of the epoch in the statement that read says so here; then nobody has to ask again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_UNPROVEN = -1

_proven: ContextVar[set[int] | None] = ContextVar("proven_epochs", default=None)


@contextmanager
def collected() -> Iterator[set[int]]:
    """Yield the epochs that the reads of the block (of this task) were made under, and one more if some is unknown."""
    proven: set[int] = set()
    token = _proven.set(proven)
    try:
        yield proven
    finally:
        _proven.reset(token)


def prove(epoch: int) -> None:
    """Say that the collection was in this epoch when the read was made, as the very same statement saw it."""
    proven = _proven.get()
    if proven is not None:
        proven.add(epoch)


def leave_open() -> None:
    """Say that a read is made of which nobody knows the epoch; no real one is the number that stands for it."""
    prove(_UNPROVEN)
