"""The document of a finished verification."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backfill.canonical import Kind
from service.model.ids import PointId


@dataclass(frozen=True, slots=True)
class Difference:
    """One id that the stores hold differently."""

    id: PointId
    kinds: tuple[Kind, ...]

    def to_json(self) -> dict[str, object]:
        """Return the difference as JSON values."""
        return {"id": self.id, "kinds": [str(kind) for kind in self.kinds]}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was compared, how much of it, what differs and what was not looked at.

    ``confirmed`` differ and rest; ``unsettled`` differed every time but were being written.
    ``compared`` counts distinct ids. ``rechecked`` of them differed at first sight. A receipt that
    is not ``complete`` stopped early and is no proof of anything but its differences.
    """

    collection: str
    epoch: int | None
    started_at: datetime
    finished_at: datetime
    control_points: int
    candidate_points: int
    compared: int
    rechecked: int
    confirmed: Sequence[Difference]
    unsettled: Sequence[Difference]
    complete: bool
    not_checked: Sequence[str]

    @property
    def is_clean(self) -> bool:
        """Every point was compared and none differs."""
        return self.complete and not self.confirmed and not self.unsettled

    def counts(self) -> Mapping[Kind, int]:
        """Return the confirmed differences by kind; a point may have two."""
        found = Counter(kind for difference in self.confirmed for kind in difference.kinds)
        return {kind: found[kind] for kind in Kind}

    def to_json(self, *, most_listed: int = 100) -> dict[str, object]:
        """Return the receipt as JSON values, with at most ``most_listed`` ids of each list."""
        return {
            "collection": self.collection,
            "epoch": self.epoch,
            "clean": self.is_clean,
            "complete": self.complete,
            "started_at": _text(self.started_at),
            "finished_at": _text(self.finished_at),
            "control_points": self.control_points,
            "candidate_points": self.candidate_points,
            "compared": self.compared,
            "rechecked": self.rechecked,
            "differing": len(self.confirmed),
            "unsettled": len(self.unsettled),
            "counts": {str(kind): count for kind, count in self.counts().items()},
            "differing_ids": [entry.to_json() for entry in self.confirmed[:most_listed]],
            "unsettled_ids": [entry.to_json() for entry in self.unsettled[:most_listed]],
            "not_checked": list(self.not_checked),
        }


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
