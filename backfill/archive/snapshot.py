"""A Qdrant snapshot, taken by Qdrant and brought into a file."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backfill.archive import files
from backfill.archive.export import OnProgress
from backfill.archive.threads import in_thread
from service.errors import ArchiveError, VecferryError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Qdrant says of a snapshot; ``checksum`` is its SHA-256, ``None`` from a version that tells none."""

    name: str
    bytes: int
    checksum: str | None


class Snapshots(Protocol):
    """The snapshots of a store that has them. Every method raises ``StoreError`` or ``CollectionNotFound``."""

    async def create(self, collection: str) -> Snapshot:
        """Take one and return it when it is whole. Raises ``ArchiveError`` where the store has none."""
        ...

    def download(
        self, collection: str, snapshot: Snapshot
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open it for reading, from front to back."""
        ...

    async def delete(self, collection: str, snapshot: Snapshot) -> None:
        """Remove it from the store."""
        ...


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot in a file. ``left`` says why it is still on the server as well, ``None`` when it is not."""

    path: Path
    bytes: int
    sha256: str
    is_checked: bool
    """Whether the server told a checksum, and this is it."""
    left: str | None


async def save(
    snapshots: Snapshots, collection: str, directory: Path, *, keep: bool, on_progress: OnProgress
) -> Saved:
    """Take a snapshot, download it and, unless it is to be kept, delete it on the server, whatever came of it.

    Raises ``ArchiveError`` when what arrived is not what the server has, or cannot be written.
    """
    files.make_directory(directory)
    snapshot = await snapshots.create(collection)
    path = directory / _file_name(snapshot)
    left: str | None = "it was to be kept"
    try:
        digest = await _download(snapshots, collection, snapshot, path, on_progress)
    finally:
        if not keep:
            left = await _deleted(snapshots, collection, snapshot)
    return Saved(path, snapshot.bytes, digest, snapshot.checksum is not None, left)


def _file_name(snapshot: Snapshot) -> str:
    """Return the name of the file. Raises ``ArchiveError`` for one that leads elsewhere."""
    if not snapshot.name or Path(snapshot.name).name != snapshot.name:
        message = f"the server calls its snapshot {snapshot.name!r}, which is no name of a file"
        raise ArchiveError(message)
    return snapshot.name


async def _download(
    snapshots: Snapshots, collection: str, snapshot: Snapshot, path: Path, on_progress: OnProgress
) -> str:
    with files.failures("write", path):
        file = files.HashedFile(path)
        try:
            async with snapshots.download(collection, snapshot) as blocks:
                async for block in blocks:
                    file.write(block)
                    on_progress(file.bytes, snapshot.bytes)
            _check(file, snapshot, path)
            return await in_thread(file.finish)
        finally:
            file.discard()


def _check(file: files.HashedFile, snapshot: Snapshot, path: Path) -> None:
    if file.bytes != snapshot.bytes:
        message = f"{path}: {file.bytes} of {snapshot.bytes} bytes arrived; nothing was kept"
        raise ArchiveError(message)
    if snapshot.checksum is not None and file.digest != snapshot.checksum:
        message = (
            f"{path}: the sha256 of what arrived is {file.digest}, the server's {snapshot.checksum}"
        )
        raise ArchiveError(message)


async def _deleted(snapshots: Snapshots, collection: str, snapshot: Snapshot) -> str | None:
    try:
        await snapshots.delete(collection, snapshot)
    except VecferryError as error:
        return f"it could not be deleted: {error}"
    return None
