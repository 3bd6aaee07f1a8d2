"""Writing a collection to a directory; killed anywhere, it goes on behind the last whole file.

Rule: a file counts when the manifest names it. Whatever else lies in the directory is what an ended run left behind.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from backfill.archive import files, manifest
from backfill.archive.layout import difference, layout_of, schema_of
from backfill.archive.manifest import Manifest, Origin, Subject
from backfill.archive.reading import PointPage, first_size, fitting, read_page
from backfill.archive.threads import in_thread
from backfill.archive.writing import PointFile
from backfill.retry import Retry
from backfill.together import together
from service.errors import ArchiveError
from service.model.ids import PointId
from service.model.moments import as_text
from service.model.qdrant import CountRequest
from service.ports import PointReader

_ALL = CountRequest(exact=True)
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """``rows_per_file`` is also how much a resumed export reads again at most; ``level`` is zstd's."""

    rows_per_file: int = 100_000
    level: int = 3
    restart: bool = False
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export; ``was_done`` says that it had been finished before."""

    manifest: Manifest
    was_done: bool = False


OnProgress = Callable[[int, int | None], None]
"""Takes how many are done, of how many; the latter if it is known."""


class Export:
    """Exports collections of one store. ``describe`` reads what a collection is apart from its points."""

    def __init__(
        self,
        reader: PointReader,
        describe: Callable[[str], Awaitable[Subject]],
        origin: Origin,
        options: ExportOptions | None = None,
    ) -> None:
        self._reader = reader
        self._describe = describe
        self._origin = origin
        self._options = options or ExportOptions()

    async def run(self, collection: str, directory: Path, on_progress: OnProgress) -> Exported:
        """Write the collection to the directory, or go on where an earlier run ended.

        Raises ``ArchiveError`` when the directory holds something else, cannot be written, or the collection's vectors
        changed meanwhile; ``StoreError`` when the store failed for too long. What is whole by then stays.
        """
        files.make_directory(directory)
        with files.locked(directory / _LOCK, f"the export {directory}"):
            begun = await self._begin(collection, directory)
            if begun.complete:
                return Exported(begun, was_done=True)
            files.remove(_strays(directory, begun))
            copied = await self._copy(begun, directory, on_progress)
            return Exported(await self._finish(copied, directory))

    async def _begin(self, collection: str, directory: Path) -> Manifest:
        found = None
        if (directory / manifest.NAME).exists() and not self._options.restart:
            found = manifest.load(directory)
            _check_same(found, collection, self._origin)
            if found.complete:
                return found
        subject = await self._describe(collection)
        if found is None:
            begun = Manifest(
                subject,
                self._origin,
                vecferry=version("vecferry"),
                started_at=_now(),
                counted={"before": await self._count(collection)},
            )
        else:
            _check_unchanged(found, subject)
            begun = replace(found, resumed=found.resumed + 1)
        begun.save(directory)
        return begun

    async def _copy(self, begun: Manifest, directory: Path, on_progress: OnProgress) -> Manifest:
        walk = _Walk(self._reader, begun, self._options)
        total, after = begun.counted.get("before"), begun
        page = await walk.read(begun.next, rows=0)
        while page.points:
            file = walk.open(directory, number=len(after.entries) + 1)
            try:
                on_rows = partial(_show, on_progress, after.rows, total)
                following = await walk.fill(file, page, on_rows)
                entry = await in_thread(file.finish)
            except BaseException:
                file.discard()
                raise
            after = after.with_file(entry, following)
            after.save(directory)
            if following is None:
                break
            page = await walk.read(following, rows=0)
        return after

    async def _finish(self, copied: Manifest, directory: Path) -> Manifest:
        subject = await self._describe(copied.subject.name)
        _check_unchanged(copied, subject)
        counted = {**copied.counted, "after": await self._count(subject.name)}
        # Parameters, indexes and aliases may have changed with no effect on a point: the newest are kept.
        done = replace(
            copied, subject=subject, counted=counted, next=None, complete=True, finished_at=_now()
        )
        done.save(directory)
        return done

    async def _count(self, collection: str) -> int:
        return await self._options.retry.call(lambda: self._reader.count(collection, _ALL))


class _Walk:
    """Pages of one collection, each as large as the one before it suggests, into files."""

    def __init__(self, reader: PointReader, begun: Manifest, options: ExportOptions) -> None:
        self._reader = reader
        self._collection = begun.subject.name
        self._options = options
        self._layout = begun.layout
        self._schema: pa.Schema = schema_of(self._layout, self._collection)
        self._size = first_size(self._layout)

    async def read(self, start: PointId | None, *, rows: int) -> PointPage:
        """Return the page from an id on, for a file that holds so many rows."""
        limit = min(self._size, self._options.rows_per_file - rows)
        page = await read_page(self._reader, self._collection, start, limit, self._options.retry)
        if page.points:
            self._size = fitting(len(page.points), page.bytes)
        return page

    def open(self, directory: Path, *, number: int) -> PointFile:
        """Begin a file."""
        path = directory / f"points-{number:06d}.parquet"
        return PointFile(path, self._layout, self._schema, level=self._options.level)

    async def fill(
        self, file: PointFile, page: PointPage, on_rows: Callable[[int], None]
    ) -> PointId | None:
        """Write pages until the file is full or there are no more; returns the id to go on from."""
        while True:
            rows = file.rows + len(page.points)
            writing = in_thread(partial(file.write, page.points))
            if page.next_id is None or rows >= self._options.rows_per_file:
                await writing
                on_rows(rows)
                return page.next_id
            _, page = await together(writing, self.read(page.next_id, rows=rows))
            on_rows(rows)


def _show(on_progress: OnProgress, before: int, total: int | None, rows: int) -> None:
    on_progress(before + rows, total)


def _strays(directory: Path, begun: Manifest) -> list[Path]:
    """Return half files, and whole ones that a run wrote without living to name them in the manifest."""
    named = {entry.name for entry in begun.entries}
    found = (path for path in directory.glob("points-*.parquet*") if path.name not in named)
    ours = (
        path
        for path in found
        if manifest.FILE_NAME.fullmatch(path.name.removesuffix(files.PARTIAL))
    )
    return sorted(ours)


def _check_same(found: Manifest, collection: str, origin: Origin) -> None:
    if found.subject.name != collection:
        message = f"the directory holds an export of `{found.subject.name}`, not of `{collection}`"
        raise ArchiveError(message)
    if not found.complete and found.origin.side != origin.side:
        message = (
            f"the export was begun from the {found.origin.side}: go on with --from {found.origin.side},"
            " or begin anew with --restart"
        )
        raise ArchiveError(message)


def _check_unchanged(begun: Manifest, subject: Subject) -> None:
    changed = difference(begun.layout, layout_of(subject.configuration))
    if changed is not None:
        message = f"`{subject.name}` was changed since its export began ({changed}): begin anew with --restart"
        raise ArchiveError(message)


def _now() -> str:
    return as_text(datetime.now(UTC))
