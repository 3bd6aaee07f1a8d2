"""What makes ``wait=false`` durable: the operations that were acknowledged and are not applied yet.

Two files beside the shard. ``numbers`` holds two counters, the last operation number given out and the last one
applied; it is written in place, before the answer, so that a killed process never gives a number out twice.
``journal`` holds the acknowledged operations, each with length and checksum; a torn tail was never acknowledged.
After a kill, operations with a number above the applied one run again: the one that was being applied may run twice,
which changes nothing, because every single Qdrant operation is idempotent.
"""

import os
import pickle
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from service.model.operations import Operation

_NUMBERS = struct.Struct("<qq")
_ENTRY = struct.Struct("<qII")


class Journal:
    """The operation numbers and the acknowledged operations of one collection."""

    def __init__(self, directory: Path) -> None:
        self._numbers = os.open(directory / "numbers", os.O_RDWR | os.O_CREAT, 0o600)
        self._entries = os.open(directory / "journal", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        stored = os.pread(self._numbers, _NUMBERS.size, 0)
        given, applied = _NUMBERS.unpack(stored) if stored else (-1, -1)
        self._given: int = given
        self._applied: int = applied
        self.pending: deque[tuple[int, Operation]] = deque(
            entry for entry in _entries(self._entries) if entry[0] > self._applied
        )
        if self.pending:
            self._given = max(self._given, self.pending[-1][0])

    def give_number(self) -> int:
        """Return the next operation number, which no later process will give out again."""
        self._given += 1
        self._write_numbers()
        return self._given

    def acknowledge(self, operation: Operation) -> int:
        """Keep an operation that is to be applied later and return its number."""
        body = pickle.dumps(operation, protocol=5)
        number = self._given + 1
        os.write(self._entries, _ENTRY.pack(number, len(body), zlib.crc32(body)) + body)
        self.pending.append((number, operation))
        return self.give_number()

    def mark_applied(self, number: int) -> None:
        """Note that the operation, and every one before it, need not run again."""
        self._applied = number
        self._write_numbers()
        while self.pending and self.pending[0][0] <= number:
            self.pending.popleft()
            if not self.pending:
                os.ftruncate(self._entries, 0)

    def sync(self) -> None:
        """Force both files to the disk."""
        os.fsync(self._entries)
        os.fsync(self._numbers)

    def close(self) -> None:
        """Release the files."""
        os.close(self._entries)
        os.close(self._numbers)

    def _write_numbers(self) -> None:
        os.pwrite(self._numbers, _NUMBERS.pack(self._given, self._applied), 0)


def _entries(descriptor: int) -> Iterator[tuple[int, Operation]]:
    """Yield the whole entries of a journal and cut what a kill left behind them."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    at = 0
    while at + _ENTRY.size <= len(content):
        number, length, checksum = _ENTRY.unpack_from(content, at)
        body = content[at + _ENTRY.size : at + _ENTRY.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            break
        at += _ENTRY.size + length
        yield number, pickle.loads(body)  # noqa: S301 - written by us, 0600
    os.ftruncate(descriptor, at)
