"""The invariants I1 … I7 by name, and who watches that they hold.

A search may watch a single one: a mechanism that is taken out often shows under several names, and the first that is
noticed would hide whether the others see it, too.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum

EPOCH: ContextVar[int] = ContextVar("epoch", default=0)
"""The epoch under which the running request was decided."""

CONFIRMED: ContextVar[int] = ContextVar("confirmed", default=0)
"""The epoch that was confirmed when the running request was decided."""


class Invariant(Enum):
    """What must hold of every history."""

    I1 = "an id on which the stores differ is in the ledger"
    I2 = "at rest the ledger is empty and the stores are equal"
    I3 = "no answered write is lost"
    I4 = "a deleted point does not come back"
    I5 = "Postgres neither fails nor delays a client while the source is right"
    I6 = "nobody serves or writes under the old stage after a confirmed change of the authority"
    I7 = "a read sees what its client was told is done"


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Watch:
    """Notes violations of what is watched; ``check`` raises the first.

    Noted and not raised at once: the code under test survives every exception, also ours.
    """

    watched: frozenset[Invariant] = frozenset(Invariant)
    _noted: list[Violation] = field(default_factory=list)
    confirmed_epoch: int = 0

    def broken(self, invariant: Invariant, reason: str) -> None:
        """Note that an invariant does not hold."""
        if invariant in self.watched:
            self._noted.append(Violation(f"{invariant.name}: {reason}"))

    def all_broken(self, noted: Iterable[tuple[Invariant, str]]) -> None:
        """Note several."""
        for invariant, reason in noted:
            self.broken(invariant, reason)

    def check(self) -> None:
        """Raise what was noted first. Raises ``Violation``."""
        if self._noted:
            raise self._noted[0]

    def confirmed(self, epoch: int) -> None:
        """Note that a change that moves the authority was confirmed: who ordered it has been told so."""
        self.confirmed_epoch = max(self.confirmed_epoch, epoch)

    def acted(self, epoch: int, what: str, *, confirmed: int | None = None) -> None:
        """I6: note a client's request that took effect at a store, or was read there, under an epoch.

        ``confirmed`` is the epoch that was confirmed when it was decided; without it, now.
        """
        newest = self.confirmed_epoch if confirmed is None else confirmed
        if epoch < newest:
            self.broken(
                Invariant.I6, f"{what} under epoch {epoch}, and {newest} was confirmed before"
            )
