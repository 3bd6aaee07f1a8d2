"""What a backfill asks of the store that it fills."""

from collections.abc import Sequence
from typing import Protocol

from backfill.job import Job
from service.model.ids import PointId
from service.model.points import Point


class BackfillTarget(Protocol):
    """Takes pages."""

    async def insert_page(
        self, job: Job, points: Sequence[Point], next_cursor: PointId | None
    ) -> Job:
        """Insert the points that are not there and advance the job, in one transaction.

        A point that exists, or was deleted, stays as it is. Without a next cursor the job is done.
        Raises ``StaleEpoch``, with nothing written, when the stored attempt or cursor is not the
        job's: another run has replaced this one, or the collection was dropped (rule R13).
        """
        ...


class Jobs(Protocol):
    """Keeps one job per collection; it goes when the collection is dropped."""

    async def start(self, collection: str, *, total: int | None, restart: bool = False) -> Job:
        """Begin, or take over where the last run ended, under a new attempt.

        A job that is done is returned as it is, unless ``restart`` asks for all of it again.
        Raises ``CollectionNotFound``.
        """
        ...

    async def get(self, collection: str) -> Job | None:
        """Return the stored job, ``None`` when there was never a run."""
        ...

    async def finish(self, job: Job, *, error: str) -> Job:
        """Record why the run gave up; without effect when another run has replaced it."""
        ...


class BackfillStore(BackfillTarget, Jobs, Protocol):
    """Both: pages and jobs live in one database, because they commit together."""
