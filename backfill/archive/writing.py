"""One Parquet file of points: pages are gathered to row groups, so that memory is bounded however large the file is."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backfill.archive.encoding import encode
from backfill.archive.files import HashedFile, failures
from backfill.archive.layout import Layout
from backfill.archive.manifest import FileEntry
from service.model.points import Point

ROW_GROUP_BYTES = 16 << 20


class PointFile:
    """A file that is being written. ``finish`` or ``discard`` it; all raise ``ArchiveError``."""

    def __init__(self, path: Path, layout: Layout, schema: pa.Schema, *, level: int) -> None:
        self._path = path
        self._layout = layout
        self._schema = schema
        with failures("write", path):
            self._file = HashedFile(path)
            self._writer = pq.ParquetWriter(
                self._file,
                schema,
                compression="zstd",
                compression_level=level,
                # Floats and texts hardly repeat; which of two kinds an id is does.
                use_dictionary=["kind"],
            )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._first: Point | None = None
        self._last: Point | None = None
        self.rows = 0

    def write(self, points: Sequence[Point]) -> None:
        """Append points; those of a page lie in one row group."""
        if not points:
            return
        batch = encode(points, self._layout, self._schema)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        self._first = self._first or points[0]
        self._last = points[-1]
        self.rows += len(points)
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def finish(self) -> FileEntry:
        """Bring the file to the disk and return what it holds. It holds at least one point."""
        self._flush()
        with failures("write", self._path):
            self._writer.close()
            digest = self._file.finish()
        if self._first is None or self._last is None:
            raise AssertionError
        return FileEntry(
            self._path.name, self.rows, self._first.id, self._last.id, self._file.bytes, digest
        )

    def discard(self) -> None:
        """Take back what was written so far."""
        # To end the Parquet file is to write its footer, which a full disk refuses again.
        with suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._file.discard()

    def _flush(self) -> None:
        if not self._waiting:
            return
        with failures("write", self._path):
            self._writer.write_table(pa.Table.from_batches(self._waiting), row_group_size=self.rows)
        self._waiting.clear()
        self._waiting_bytes = 0
