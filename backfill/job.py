"""A backfill's progress: one value, stored with every page."""

from dataclasses import dataclass, replace
from enum import StrEnum

from service.model.ids import PointId


class JobState(StrEnum):
    """How far a backfill has come."""

    RUNNING = "running"
    """Begun; a run that died leaves it so, and the next run takes it over."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """The backfill of one generation of a collection.

    ``cursor`` is the id to read on from, ``None`` at the beginning. ``attempt`` grows with every
    run: a run whose attempt is not the stored one has been replaced and may not write any more
    (rule R13). ``scanned`` points were read and ``copied`` of them were not yet in the target;
    ``total`` is what the source counted when this run began.
    """

    collection: str
    generation: int
    attempt: int
    state: JobState
    cursor: PointId | None = None
    copied: int = 0
    scanned: int = 0
    total: int | None = None
    error: str | None = None

    def advanced(self, *, scanned: int, copied: int, next_cursor: PointId | None) -> "Job":
        """Return the job after a page; without a next cursor it is done."""
        return replace(
            self,
            state=JobState.DONE if next_cursor is None else self.state,
            cursor=next_cursor,
            scanned=self.scanned + scanned,
            copied=self.copied + copied,
        )

    def to_json(self) -> dict[str, object]:
        """Return the job as JSON values."""
        return {
            "collection": self.collection,
            "state": str(self.state),
            "attempt": self.attempt,
            "scanned": self.scanned,
            "copied": self.copied,
            "total": self.total,
            "error": self.error,
        }
