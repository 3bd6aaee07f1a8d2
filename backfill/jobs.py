"""Long jobs as they are stored: a backfill or a verification of one generation of a collection.

A job is split into ranges of ids, and its ranges are claimed by any number of workers on any number of machines. What
comes before the ranges (arming, splitting) and after them (building indexes, settling, the receipt) is a *step*, done
by one conductor at a time. Whoever holds a range or a step renews a lease; one who is silent for too long is replaced
under a new attempt, and whatever the replaced one still sends is refused (rule R13).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from backfill.key_range import KeyRange


class JobKind(StrEnum):
    """What a job does."""

    BACKFILL = "backfill"
    VERIFY = "verify"


class JobState(StrEnum):
    """How far a job has come; ``_NEXT`` is the transition table."""

    PREPARING = "preparing"
    """A conductor makes it ready: waits until every instance writes intents, splits the ids into ranges."""
    RUNNING = "running"
    """Workers claim its ranges."""
    FINISHING = "finishing"
    """No range is left; a conductor does what comes after."""
    DONE = "done"
    FAILED = "failed"
    """Gave up for a reason that does not pass by itself; starting it again goes on where it was."""
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        """Whether somebody has something to do for it."""
        return self in {JobState.PREPARING, JobState.RUNNING, JobState.FINISHING}

    def may_become(self, after: "JobState") -> bool:
        """Say whether the transition table has this step."""
        return after in _NEXT[self]


_NEXT: Mapping[JobState, frozenset[JobState]] = {
    JobState.PREPARING: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.FINISHING, JobState.FAILED, JobState.CANCELLED}),
    JobState.FINISHING: frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    # Where it goes on is known from what is stored: no ranges, an open range, or none.
    JobState.FAILED: frozenset(
        {JobState.PREPARING, JobState.RUNNING, JobState.FINISHING, JobState.CANCELLED}
    ),
    JobState.DONE: frozenset(),
    JobState.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may change while a job runs. ``None`` is no limit of his."""

    paused: bool = False
    points_per_second: float | None = None
    """Over all workers of the job."""
    workers: int | None = None
    """How many ranges may be worked on at once."""
    page_bytes: int | None = None
    """How large a page may be; without it the setting of the worker counts."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    ``scanned`` points were read in all its ranges; ``written`` of them were new in the target (backfill) or differed at
    first sight (verification). ``total`` is what the source counted at the beginning.
    """

    id: UUID
    kind: JobKind
    collection: str
    generation: int
    state: JobState
    options: Options
    attempt: int
    """Of the step; grows with every claim of it."""
    total: int | None = None
    scanned: int = 0
    written: int = 0
    bytes: int = 0
    ranges: int = 0
    ranges_done: int = 0
    workers: int = 0
    """Ranges with a live lease."""
    note: str | None = None
    """What the step, or its slowest worker, waits for; for people."""
    error: str | None = None
    result: Mapping[str, object] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    elapsed_seconds: float = 0.0
    """Since it was created, until now or its end; by the database's clock."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A range that a worker holds, as it was when it was claimed or last stored."""

    job: UUID
    kind: JobKind
    collection: str
    generation: int
    number: int
    """The range's place in the job."""
    attempt: int
    range: KeyRange
    cursor: bytes | None
    """The key to read on from; ``None`` at the range's beginning."""
    options: Options = field(default_factory=Options)
    state: Mapping[str, object] = field(default_factory=dict)
    """What the kind of job keeps with the range between its pages, as JSON values."""
    scanned: int = 0
    written: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told with every page: the job's options, and how many workers share its rate."""

    options: Options
    workers: int = 1
    is_open: bool = True
    """False when the job was cancelled: the worker drops the range."""

    @property
    def goes_on(self) -> bool:
        """Whether the worker may keep the range: the job runs, is not paused and has room for all its workers."""
        most = self.options.workers
        return self.is_open and not self.options.paused and (most is None or self.workers <= most)
