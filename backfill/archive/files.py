"""Files that are whole or not there, and the one place where the file system's errors become ours.

Rule: a name without ``.partial`` is a whole file. What is written goes to ``<name>.partial`` first, is brought to the
disk and then renamed, and the rename is brought to the disk too.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO
from urllib.parse import quote

from service.errors import ArchiveError

PARTIAL = ".partial"
_BLOCK = 1 << 20


@contextmanager
def failures(action: str, path: Path) -> Iterator[None]:
    """Turn ``OSError`` into ``ArchiveError``; ``action`` is ``read``, ``write`` or ``lock``."""
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror or error}"
        raise ArchiveError(message) from error


def directory_name(collection: str) -> str:
    """Return the name of a collection's directory: percent-encoded, never hidden and never ``..``."""
    name = quote(collection, safe=" ()+,=@[]{}")
    return name.replace(".", "%2E", 1) if name.startswith(".") else name


def make_directory(path: Path) -> None:
    """Make a directory and those above it."""
    with failures("write", path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file for the length of a block; it ends with the process, however that ends.

    Raises ``ArchiveError`` naming ``what`` when another process holds it.
    """
    with failures("write", path):
        held = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        with failures("lock", path):
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"{what} is in use by another process ({path})"
                raise ArchiveError(message) from None
        yield
    finally:
        os.close(held)


def replace(path: Path, content: bytes) -> None:
    """Write a whole file or leave the old one as it is."""
    partial = path.with_name(path.name + PARTIAL)
    with failures("write", path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                _settle(file)
            publish(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def publish(path: Path) -> None:
    """Give the finished ``.partial`` file its name, for good. Raises ``OSError``."""
    path.with_name(path.name + PARTIAL).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(paths: Iterable[Path]) -> None:
    """Remove files."""
    for path in paths:
        with failures("write", path):
            path.unlink(missing_ok=True)


def digest(path: Path) -> tuple[int, str]:
    """Return a file's bytes and the SHA-256 of them in hexadecimal digits."""
    found, length = sha256(), 0
    with failures("read", path), path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
            length += len(block)
    return length, found.hexdigest()


class HashedFile:
    """A ``.partial`` file that is written from front to back and hashed meanwhile; raises ``OSError``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.with_name(path.name + PARTIAL).open("wb")
        self._digest = sha256()
        self.bytes = 0

    @property
    def closed(self) -> bool:
        """Whether nothing more can be written."""
        return self._file.closed

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written so far, in hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        """Append data."""
        length = self._file.write(data)
        self._digest.update(data)
        self.bytes += length
        return length

    def tell(self) -> int:
        """Return how much was written."""
        return self.bytes

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    def close(self) -> None:
        """Do nothing: whoever writes through this does not decide when the file is whole."""

    def finish(self) -> str:
        """Bring the file to the disk under its name and return its SHA-256."""
        _settle(self._file)
        self._file.close()
        publish(self._path)
        return self.digest

    def discard(self) -> None:
        """Remove what was written; after ``finish`` nothing is left to remove."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._path.with_name(self._path.name + PARTIAL).unlink(missing_ok=True)


def _settle(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
