"""Whether an export is whole, before anything of it is written anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backfill.archive import files, manifest
from backfill.archive.decoding import decode
from backfill.archive.layout import schema_of
from backfill.archive.manifest import FileEntry, Manifest
from service.errors import ArchiveError
from service.model.points import Point


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an export one is: behind ``row`` rows of the file with this index."""

    file: int = 0
    row: int = 0


def load_complete(directory: Path) -> Manifest:
    """Return the manifest of a finished export. Raises ``ArchiveError``."""
    found = manifest.load(directory)
    if not found.complete:
        message = f"{directory}: the export is not complete: run the same `vecferry export` again to go on"
        raise ArchiveError(message)
    return found


def check_file(directory: Path, entry: FileEntry) -> None:
    """Raise ``ArchiveError`` naming the file when one byte of it is not as it was written."""
    path = directory / entry.name
    length, digest = files.digest(path)
    if length != entry.bytes:
        message = f"{path} is damaged: it has {length} bytes, the manifest says {entry.bytes}"
        raise ArchiveError(message)
    if digest != entry.sha256:
        message = f"{path} is damaged: its sha256 is {digest}, the manifest says {entry.sha256}"
        raise ArchiveError(message)


def groups_from(
    directory: Path, archived: Manifest, start: Place
) -> Iterator[tuple[Place, list[Point]]]:
    """Yield the points from a place on, one row group at a time, each with the place where it begins.

    Raises ``ArchiveError`` for a file that does not hold what the manifest says.
    """
    for number in range(start.file, len(archived.entries)):
        skipped = start.row if number == start.file else 0
        entry = archived.entries[number]
        path = directory / entry.name
        at = 0
        with _opened(path) as file:
            _check_layout(path, file, archived, entry)
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if at + rows > skipped:
                    points = _points(path, file, group, archived)
                    begin = max(0, skipped - at)
                    yield Place(number, at + begin), points[begin:]
                at += rows


def _opened(path: Path) -> pq.ParquetFile:
    with files.failures("read", path):
        try:
            return pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            message = f"{path} is not a Parquet file: {error}"
            raise ArchiveError(message) from None


def _check_layout(path: Path, file: pq.ParquetFile, archived: Manifest, entry: FileEntry) -> None:
    wanted = schema_of(archived.layout, archived.subject.name)
    if not file.schema_arrow.equals(wanted):
        message = f"{path} has other columns than the manifest's configuration asks for"
        raise ArchiveError(message)
    if file.metadata.num_rows != entry.rows:
        message = f"{path} has {file.metadata.num_rows} rows, the manifest says {entry.rows}"
        raise ArchiveError(message)


def _points(path: Path, file: pq.ParquetFile, group: int, archived: Manifest) -> list[Point]:
    with files.failures("read", path):
        try:
            return decode(file.read_row_group(group), archived.layout)
        except (pa.ArrowException, ArchiveError) as error:
            message = f"{path}, row group {group}: {error}"
            raise ArchiveError(message) from None
