"""Comparing every point of two stores, range by range, while writes flow.

Both stores are enumerated in id order and merged, so that points only one of them has are found, whichever it is. What
differs at first sight is stored with the page and judged after the last range (``backfill.verify_steps``).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self
from uuid import UUID

from backfill.comparison import Compared, compare
from backfill.digest import Digest
from backfill.enumeration import side_by_side
from backfill.jobs import Claim, Orders
from backfill.key_range import KeyRange
from backfill.metrics import BackfillMetrics
from backfill.queue import Advance, Note, Pace, RangeQueue, RangeWork, Suspect
from backfill.together import together
from service.ports import PointReader

_SECONDS_PER_PAGE = 5.0
_GROWTH = 2
"""So much larger than the last page may one be: pages are asked for before those ahead of them were weighed."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How large pages are, and how much is noted.

    The first page is small, because nobody knows yet how large a point is. Of ids that differ at first sight only
    ``most_suspects`` of a job are kept, and with them the list that is to be judged under locks stays bounded; what
    comes after is counted.
    """

    first_page: int = 32
    most_points: int = 1_000
    page_bytes: int = 4 * 1024 * 1024
    """Of both stores together."""
    most_suspects: int = 100_000


class SuspectRoom(Protocol):
    """How many suspects a job has already."""

    async def kept(self, job: UUID, *, most: int) -> int:
        """Return how many are stored, counted up to ``most``."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What a range has come to so far; stored with its progress, so that a killed verification goes on.

    Digests are of the points that agreed. ``differing`` counts all ids that did not at first sight, ``kept`` those that
    were stored as suspects.
    """

    source_points: int = 0
    target_points: int = 0
    compared: int = 0
    differing: int = 0
    kept: int = 0
    source_digest: Digest = field(default_factory=Digest)
    target_digest: Digest = field(default_factory=Digest)

    def after(self, page: Compared, *, kept: int) -> "Findings":
        """Return it with a page added, of whose differing ids so many are kept."""
        return Findings(
            self.source_points + page.source_points,
            self.target_points + page.target_points,
            self.compared + page.points,
            self.differing + len(page.differing),
            self.kept + kept,
            self.source_digest + page.source_digest,
            self.target_digest + page.target_digest,
        )

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "source_points": self.source_points,
            "target_points": self.target_points,
            "compared": self.compared,
            "differing": self.differing,
            "kept": self.kept,
            "source_digest": self.source_digest.to_json(),
            "target_digest": self.target_digest.to_json(),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Self:
        """Return what :meth:`to_json` wrote; nothing was found before the first page."""
        if not found:
            return cls()
        values = dict(found)
        digests = {
            side: Digest.from_json(values.pop(side))  # type: ignore[arg-type]  # as to_json wrote it
            for side in ("source_digest", "target_digest")
        }
        return cls(**values, **digests)  # type: ignore[arg-type]  # as to_json wrote it


def next_size(effort: Effort, orders: Orders, page: Compared, size: int) -> int:
    """Return how many points the next page asks for, from what those of the last one weighed.

    ``size`` is how many were asked for so far. Under a limit of the operator a page is a few seconds' worth: a worker
    looks at its orders after each.
    """
    options = orders.options
    wanted = effort.page_bytes if options.page_bytes is None else options.page_bytes
    fitting = wanted * page.points // max(page.bytes, 1)
    size = min(effort.most_points, fitting, size * _GROWTH)
    if options.points_per_second is not None:
        share = options.points_per_second / max(orders.workers, 1)
        size = min(size, int(share * _SECONDS_PER_PAGE))
    return max(1, size)


@dataclass(frozen=True, slots=True)
class VerifyWork:
    """``RangeWork`` of verifications."""

    source: PointReader
    target: PointReader
    queue: RangeQueue
    room: SuspectRoom
    pace: Pace
    metrics: BackfillMetrics
    effort: Effort = field(default_factory=Effort)

    async def work(self, claim: Claim, note: Note) -> None:
        """Compare a range from where it is until it is done, paused or cancelled."""
        start = claim.range.first if claim.cursor is None else claim.cursor
        within = KeyRange(start, claim.range.until)
        size = self.effort.first_page
        reading = side_by_side(self.source, self.target, claim.collection, within, lambda: size)
        async with reading as pair:
            await pair.fill()
            while True:
                rows, cursor = pair.take()
                page, _ = await together(asyncio.to_thread(compare, rows), pair.fill())
                claim, orders = await self._store(claim, page, cursor)
                if not orders.goes_on:
                    return
                if page.points:
                    size = next_size(self.effort, orders, page, size)
                await self.pace.after_page(
                    points=page.points,
                    target_seconds=pair.target.seconds,
                    source_seconds=pair.source.seconds,
                    orders=orders,
                    note=note,
                )
                # Behind the last page, too: thousands of small collections are thousands of last pages.
                if cursor is None:
                    return

    async def _store(
        self, claim: Claim, page: Compared, cursor: bytes | None
    ) -> tuple[Claim, Orders]:
        before = Findings.from_json(claim.state)
        suspects = await self._suspects(claim, before, page)
        findings = before.after(page, kept=len(suspects))
        after = Advance(
            cursor=cursor,
            scanned=page.points,
            written=len(page.differing),
            bytes=page.bytes,
            state=findings.to_json(),
            differences=suspects,
        )
        stored = await self.queue.advance(claim, after)
        self.metrics.verified.inc(page.points)
        return stored

    async def _suspects(self, claim: Claim, before: Findings, page: Compared) -> list[Suspect]:
        is_full = before.kept < before.differing
        if not page.differing or is_full:
            return []
        most = self.effort.most_suspects
        room = most - await self.room.kept(claim.job, most=most)
        return [Suspect(key, kinds) for key, kinds in page.differing[: max(room, 0)]]


def _proves_port(work: VerifyWork) -> RangeWork:
    return work
