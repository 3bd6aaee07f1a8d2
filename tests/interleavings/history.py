"""What happens in a history, and what may go wrong in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.model.ids import PointId
from service.stages import Stage
from tests.interleavings.writes import Read, Write


@dataclass(frozen=True, slots=True)
class Faults:
    """What may go wrong, each at most as often as the budget says."""

    write: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    postgres: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    register: tuple[str, ...] = ()
    mortal: tuple[str, ...] = ()
    """Instances that may be killed, after any step of theirs."""
    sleepy: tuple[str, ...] = ()
    """Instances that may stand still for longer than the grace period."""
    cuttable: tuple[str, ...] = ()
    """Instances that may lose Postgres for longer than others wait for them."""
    cut_off: tuple[str, ...] = ()
    """Instances that lost it when the history begins."""


@dataclass(frozen=True, slots=True)
class History:
    """What happens. ``clients`` write or read one thing after the other, each through one instance."""

    clients: Sequence[tuple[str, Sequence[Write | Read]]]
    stage: Stage = Stage.DUALWRITE
    points: Mapping[PointId, int] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    changes: Sequence[tuple[str, Stage]] = ()
    """Stage changes, one after the other, each ordered from an instance."""
    tries: int = 1
    """How often the operator orders a change that was refused, with a pause between."""
    operator_waits_seconds: float = 0.0
    """How much later than the clients the operator begins."""
    begins_after_seconds: float = 0.0
    """How long the clients and the operator wait at first."""
    is_full: bool = False
    """With the register in the source, hints, marks and records."""
    backfills: bool = False
    """A backfill's page is copied meanwhile; the target begins empty."""
    grace_seconds: float = 3.0
    patience_seconds: float | None = None
    """Every write must be done within so long (I5)."""

    @property
    def names(self) -> list[str]:
        """The instances."""
        orderers = [name for name, _ in self.changes]
        return sorted({*(name for name, _ in self.clients), *orderers, "B"})
