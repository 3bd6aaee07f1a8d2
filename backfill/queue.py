"""What workers and conductors ask of the database that keeps the jobs.

Every method raises ``TargetUnavailable`` while Postgres cannot be reached. Those that are given a ``Claim`` or a
claimed ``Job`` raise ``StaleEpoch``, with nothing written, when somebody else has taken it over under a newer attempt,
the job was cancelled, or the collection was dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from backfill.jobs import Claim, Job, JobKind, JobState, Options, Orders
from backfill.key_range import KeyRange
from service.model.ids import PointId
from service.model.points import Point


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a page has brought a range; committed with what the page wrote.

    ``cursor`` is the key of the next page, ``None`` when the range is done. ``state`` replaces the range's.
    """

    cursor: bytes | None
    scanned: int
    written: int = 0
    bytes: int = 0
    state: Mapping[str, object] | None = None
    differences: Sequence["Suspect"] = ()


@dataclass(frozen=True, slots=True)
class Suspect:
    """An id that a verification found to differ. Stored, so that a killed one knows it."""

    key: bytes
    kinds: tuple[str, ...]
    confirmed: bool | None = None
    """``None`` before it was looked at under the id's lock."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A point that the target cannot hold, and why."""

    key: bytes
    reason: str


class Jobs(Protocol):
    """Jobs as an operator sees them."""

    async def start(
        self, kind: JobKind, collection: str, options: Options, *, restart: bool = False
    ) -> Job:
        """Make a job, or return the open one; one that failed goes on where it was.

        A backfill that is done is returned as it is, unless ``restart`` asks for all of it again; ``restart`` also
        cancels an open job first. A verification that is done stays as it is and a new one is made.
        Raises ``CollectionNotFound`` where the target has no tables for the collection.
        """
        ...

    async def latest(self, kind: JobKind, collection: str) -> Job | None:
        """Return the newest job of a kind, of the collection's present generation."""
        ...

    async def open_jobs(self) -> Sequence[Job]:
        """Return all that are not at their end, oldest first."""
        ...

    async def latest_of_all(self) -> Sequence[Job]:
        """Return the newest job of each kind of every collection's present generation, by collection and kind."""
        ...

    async def tune(self, job: UUID, changes: Mapping[str, object]) -> Job:
        """Change some fields of its ``Options``, ``None`` is no limit; workers see it with their next page.

        Two operators who change different ones at the same time have both.
        """
        ...

    async def cancel(self, job: UUID) -> Job:
        """End it; what it wrote stays."""
        ...


class StepQueue(Protocol):
    """The steps before and after the ranges, each done by one conductor at a time."""

    async def claim_step(self, owner: UUID, kinds: Sequence[JobKind]) -> Job | None:
        """Lease the oldest job that is preparing or finishing and not paused, under a new attempt."""
        ...

    async def renew_step(self, job: Job, owner: UUID, note: str | None) -> None:
        """Renew the lease and say what the step waits for."""
        ...

    async def release_step(self, job: Job, owner: UUID) -> None:
        """Give the step back: the next conductor need not wait for the lease's end.

        Without effect when somebody else has it.
        """
        ...

    async def prepared(self, job: Job, ranges: Sequence[KeyRange], total: int | None) -> Job:
        """Store the ranges, and have workers claim them."""
        ...

    async def finished(self, job: Job, result: Mapping[str, object]) -> Job:
        """End the job."""
        ...

    async def failed(self, job: Job, error: str) -> Job:
        """End the job for a reason that does not pass by itself."""
        ...

    async def suspects(
        self, job: Job, *, limit: int, after: bytes | None = None
    ) -> Sequence[Suspect]:
        """Return ids that differ in the order of their keys, behind ``after``."""
        ...

    async def judged(self, job: Job, suspects: Sequence[Suspect]) -> None:
        """Store which ids were confirmed under their lock; those with no kinds left are forgotten."""
        ...

    async def ranges(self, job: Job) -> Sequence[Claim]:
        """Return all ranges of the job, as they were last stored, in order."""
        ...


class RangeQueue(Protocol):
    """Ranges, each worked on by one worker at a time."""

    async def claim(self, owner: UUID, kinds: Sequence[JobKind]) -> Claim | None:
        """Lease a range of a running job that is not paused and has room for a worker; new ones before abandoned ones.

        Waits for nobody (SKIP LOCKED). A range whose lease is over is taken under a new attempt.
        """
        ...

    async def renew(self, claim: Claim, owner: UUID, note: str | None) -> Orders:
        """Renew the lease, say what the worker waits for, and return the orders as they are now."""
        ...

    async def release(self, claim: Claim, owner: UUID, note: str | None = None) -> None:
        """Give the range back as it is: the next worker need not wait for the lease's end.

        With a note, why it could not go on, it is claimed after all that nobody has failed at, of any job. Without
        effect when somebody else has it.
        """
        ...

    async def advance(self, claim: Claim, after: Advance) -> tuple[Claim, Orders]:
        """Store a page's progress: a compare-and-set on attempt and cursor (R13).

        The last range's end brings its job to ``finishing``.
        """
        ...

    async def give_up(self, claim: Claim, error: str) -> None:
        """Fail the whole job for a reason that does not pass by itself."""
        ...

    async def insert_page(
        self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
    ) -> tuple[Claim, Orders]:
        """As :meth:`advance`, with the points inserted that are not there, in the same transaction.

        A point that exists, or was deleted, stays as it is; ``after.written`` is replaced by how many were new. What is
        refused goes to the quarantine in the same transaction. Raises ``RequestError`` or ``TargetRefused`` when the
        target cannot hold one of the points; nothing is written then.
        """
        ...

    async def refused_of(self, claim: Claim, points: Sequence[Point]) -> Sequence[Refused]:
        """Return which of the points the target cannot hold, by trying them in halves; nothing stays written."""
        ...


class StepWork(Protocol):
    """What one kind of job does before and after its ranges; may be interrupted anywhere and is begun again."""

    async def prepare(self, job: Job, note: "Note") -> tuple[Sequence[KeyRange], int | None]:
        """Wait until the job may begin and return its ranges, and how many points there are."""
        ...

    async def finish(self, job: Job, note: "Note") -> Mapping[str, object]:
        """Do what comes after the ranges and return the result."""
        ...


class RangeWork(Protocol):
    """What one kind of job does with a range; may be interrupted anywhere and is begun again."""

    async def work(self, claim: Claim, note: "Note") -> None:
        """Work on a range until it is done, paused or cancelled."""
        ...


class Work(StepWork, RangeWork, Protocol):
    """Both halves. A process that only works on ranges has the second."""


class Pace(Protocol):
    """Slows a worker down."""

    async def after_page(
        self,
        *,
        points: int,
        target_seconds: float,
        source_seconds: float,
        orders: Orders,
        note: "Note",
    ) -> None:
        """Wait as long as is decided after a page, and say why; may be cancelled at any time."""
        ...


class Note(Protocol):
    """Takes what its holder waits for; shown in status and metrics, ``None`` when it does not wait."""

    def __call__(self, text: str | None) -> None:
        """Replace the text."""
        ...


class Quarantine(Protocol):
    """Points that the target cannot hold. While one is neither solved nor waived the flip is blocked."""

    async def listed(
        self, collection: str | None, *, limit: int, after: tuple[int, bytes] | None = None
    ) -> Sequence["Quarantined"]:
        """Return a page in the order of generation and key."""
        ...

    async def waive(self, collection: str, ids: Sequence[PointId], *, actor: str) -> int:
        """Accept that the target lacks these points, each by name; returns how many were not waived before.

        Raises ``PointNotFound`` naming the first id that is not in the quarantine.
        """
        ...

    async def blocking(self, generation: int) -> int:
        """Return how many are neither solved nor waived."""
        ...

    async def waived_keys(self, generation: int) -> frozenset[bytes]:
        """Return what a verification leaves out, and says so."""
        ...

    async def counts(self) -> Mapping[str, tuple[int, int]]:
        """Return by collection how many block the flip and how many are waived; only collections that have some."""
        ...


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One point of the quarantine."""

    collection: str
    generation: int
    id: PointId
    reason: str
    found_by: str
    """``backfill`` or ``resync``: who met a refusal of it first, or the resync that met one later."""
    found_at: str
    waived_by: str | None
    refused_again: bool = False
    """After it was waived: another value of the point that the target cannot hold either."""


__all__ = [
    "Advance",
    "JobState",
    "Jobs",
    "Note",
    "Pace",
    "Quarantine",
    "Quarantined",
    "RangeQueue",
    "RangeWork",
    "Refused",
    "StepQueue",
    "StepWork",
    "Suspect",
    "Work",
]
