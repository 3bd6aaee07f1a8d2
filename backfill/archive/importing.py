"""Reading an export back into a store; killed anywhere, it goes on behind the last batch that was stored as written.

A batch that was written and not yet noted is written again, which changes nothing: points are upserted whole.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

from backfill.archive import checking, files
from backfill.archive.batches import BatchSize, halves
from backfill.archive.checking import Place
from backfill.archive.destination import Into
from backfill.archive.export import OnProgress
from backfill.archive.landing import Landed, Landing, Refusal
from backfill.archive.making import check_aliases, left_alone, make, make_aliases
from backfill.archive.manifest import Manifest
from backfill.archive.proof import Mismatch, prove
from backfill.archive.threads import in_thread
from backfill.retry import Retry
from service.errors import (
    CollectionNotFound,
    RateLimited,
    RequestError,
    SourceUnavailable,
    StoreAnswered,
    TargetRefused,
    TimedOut,
)
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CountRequest, UpdateStatus

_ALL = CountRequest(exact=True)
_REFUSALS = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """``verify`` compares every point at the end; ``aliases`` makes the export's aliases too."""

    verify: bool = False
    aliases: bool = False
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True)
class Imported:
    """A finished import. ``counted`` is how many points the destination has now; ``notes`` are for people."""

    rows: int
    written: int
    counted: int
    made: bool
    refused: Sequence[Refusal]
    refusals: Path
    mismatches: Sequence[Mismatch] | None
    """Points that differ; ``None`` when nobody asked."""
    notes: Sequence[str]

    @property
    def count_differs(self) -> bool:
        """Whether there are fewer points than were written, or others in a collection that this import made."""
        return self.counted < self.written or (self.made and self.counted != self.written)

    @property
    def is_clean(self) -> bool:
        """Every point of the export is there."""
        return not (self.refused or self.mismatches or self.count_differs)


class Import:
    """Imports one export into one collection."""

    def __init__(self, into: Into, options: ImportOptions | None = None) -> None:
        self._into = into
        self._store = into.store
        self._name = into.destination.collection
        self._options = options or ImportOptions()
        self._size = BatchSize()

    async def run(
        self, directory: Path, state_directory: Path, on_progress: OnProgress
    ) -> Imported:
        """Check the export, make the collection if it is not there, write the points, count them.

        Raises ``ArchiveError`` for an export that is damaged or does not fit the collection, ``StageError`` when the
        destination may not be written to, ``StoreError`` when it failed for too long.
        """
        archived = checking.load_complete(directory)
        landing = Landing(state_directory, self._into.destination)
        files.make_directory(state_directory)
        with files.locked(landing.lock, f"the import of {directory}"):
            for entry in archived.entries:
                await in_thread(partial(checking.check_file, directory, entry))
            await self._into.allow()
            return await self._land(directory, archived, landing, on_progress)

    async def _land(
        self, directory: Path, archived: Manifest, landing: Landing, on_progress: OnProgress
    ) -> Imported:
        aliases = archived.subject.aliases if self._options.aliases else ()
        await check_aliases(self._into, aliases)
        before = landing.load(archived.digest)
        found = None if before.made else await self._into.describe()
        landed = await make(self._into, archived, landing, before)
        landed = await self._write(directory, archived, landing, landed, on_progress)
        imported = await self._finish(directory, archived, landing, landed)
        await make_aliases(self._into, aliases)
        landing.end()
        notes = left_alone(archived.subject, found, aliases=self._options.aliases)
        return replace(imported, notes=notes)

    async def _write(
        self,
        directory: Path,
        archived: Manifest,
        landing: Landing,
        landed: Landed,
        on_progress: OnProgress,
    ) -> Landed:
        groups = checking.groups_from(directory, archived, landed.place)
        while (group := await in_thread(lambda: next(groups, None))) is not None:
            place, points = group
            done = 0
            while done < len(points):
                batch = self._size.take(points, done)
                await self._into.allow()
                refused = await self._timed(batch)
                done += len(batch)
                landed = replace(
                    landing.refuse(landed, refused),
                    place=Place(place.file, place.row + done),
                    written=landed.written + len(batch) - len(refused),
                )
                landing.save(landed)
                on_progress(landed.written + landed.refused, archived.rows)
        return landed

    async def _timed(self, batch: Sequence[Point]) -> list[Refusal]:
        began = time.monotonic()
        reason = await self._upsert(batch)
        if reason is None:
            self._size = self._size.after(time.monotonic() - began)
            return []
        self._size = self._size.after_refusal()
        return await self._in_parts(batch, reason)

    async def _in_parts(self, batch: Sequence[Point], reason: str) -> list[Refusal]:
        """Write the parts of a refused batch; returns the points that are refused alone."""
        if len(batch) == 1:
            return [Refusal(batch[0].id, reason)]
        refused = []
        for part in halves(batch):
            if (again := await self._upsert(part)) is not None:
                refused += await self._in_parts(part, again)
        return refused

    async def _upsert(self, points: Sequence[Point]) -> str | None:
        """Write points; returns the reason when the destination will not have them."""

        async def write() -> str | None:
            try:
                result = await self._store.apply(self._name, Upsert(points), wait=True)
            except (RequestError, TargetRefused, StoreAnswered) as error:
                if not _is_refusal(error):
                    raise
                return str(error).partition("\n")[0]
            if result.status is not UpdateStatus.COMPLETED:
                reason = f"answered a write with {result.status.value}"
                raise SourceUnavailable(reason)
            return None

        return await self._options.retry.call(write)

    async def _finish(
        self, directory: Path, archived: Manifest, landing: Landing, landed: Landed
    ) -> Imported:
        retry = self._options.retry
        refused = landing.refused()
        mismatches = None
        if self._options.verify:
            groups = checking.groups_from(directory, archived, Place())
            left_out = {each.id for each in refused}
            mismatches = await prove(self._store, self._name, groups, left_out, retry)
        counted = await retry.call(lambda: self._store.count(self._name, _ALL))
        return Imported(
            rows=archived.rows,
            written=landed.written,
            counted=counted,
            made=landed.made,
            refused=refused,
            refusals=landing.refusals,
            mismatches=mismatches,
            notes=(),
        )


def _is_refusal(error: RequestError | TargetRefused | StoreAnswered) -> bool:
    """Say whether it is about the points, and would be the same again."""
    match error:
        case CollectionNotFound() | RateLimited() | TimedOut():
            return False
        case StoreAnswered():
            return error.code in _REFUSALS
        case _:
            return True
