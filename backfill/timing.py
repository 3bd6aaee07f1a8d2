"""How often the holders of leases look, renew and try again."""

from dataclasses import dataclass

from backfill.patience import Patience


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Pauses grow from the first to the longest."""

    heartbeat: float = 5.0
    """Between two renewals of a lease; a small part of it, so that a lost one does no harm."""
    first_idle: float = 1.0
    """Before a queue that was empty is looked at again."""
    longest_idle: float = 5.0
    first_pause: float = 0.25
    """Before what failed for a passing reason is tried again."""
    longest_pause: float = 15.0

    def patience(self) -> Patience:
        """Return pauses after failures, from the beginning."""
        return Patience(first=self.first_pause, longest=self.longest_pause)
