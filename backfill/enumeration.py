"""Two stores side by side in id order, and the ranges that they are read in.

Written for the verification alone, on purpose not shared with the backfill: what the one never reads the other must
not be blind to. It goes on from the successor of the last key that it saw, and ends a store only where a page comes
back shorter than it was asked for; what the store says of its next page is not relied on.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from time import monotonic

from backfill.comparison import Rows
from backfill.key_range import KeyRange
from backfill.together import together
from service.errors import StoreError
from service.model.ids import MAX_INTEGER_ID, PointId, decode_key, encode_key
from service.model.points import Page, Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader

_LAST_INTEGER = encode_key(MAX_INTEGER_ID)
_FIRST_UUID = encode_key("00000000-0000-0000-0000-000000000000")
_LAST_UUID = encode_key("ffffffff-ffff-ffff-ffff-ffffffffffff")


def successor(key: bytes) -> bytes | None:
    """Return the key of the next possible id, ``None`` after the last one."""
    if key == _LAST_INTEGER:
        return _FIRST_UUID
    if key == _LAST_UUID:
        return None
    return (int.from_bytes(key, "big") + 1).to_bytes(len(key), "big")


def cut(sample: Sequence[PointId], count: int) -> list[KeyRange]:
    """Return at most ``count`` ranges that cover every id, with about equally many ids of the sample in each."""
    keys = sorted({encode_key(point_id) for point_id in sample})
    count = min(count, len(keys) + 1)
    edges = {keys[round(at * (len(keys) - 1) / count)] for at in range(1, count)}
    bounds: list[bytes | None] = [None, *sorted(edges), None]
    return [KeyRange(first, until) for first, until in pairwise(bounds)]


def uncovered(ranges: Sequence[KeyRange]) -> list[str]:
    """Return what is wrong with a list of ranges that should go from the lowest id to the highest, each once."""
    if not ranges:
        return ["there are no ranges"]
    faults = []
    if ranges[0].first is not None:
        faults.append("the first range does not begin at the lowest id")
    if ranges[-1].until is not None:
        faults.append("the last range does not end at the highest id")
    for number, (one, other) in enumerate(pairwise(ranges)):
        if one.until is None or one.until != other.first:
            faults.append(f"range {number + 1} does not begin where range {number} ends")
    for number, each in enumerate(ranges):
        if each.first is not None and each.until is not None and each.first >= each.until:
            faults.append(f"range {number} is empty or backwards")
    return faults


class Column:
    """One store's part of a range in ascending id order, filled page by page."""

    def __init__(self, reader: PointReader, collection: str, part: KeyRange) -> None:
        self._reader = reader
        self._collection = collection
        self._until = part.until
        self._next = part.first
        self._keys: list[bytes] = []
        self._records: list[Record] = []
        self.is_read = False
        """Whether nothing more is to be read."""
        self.seconds = 0.0
        """How long the last read took."""

    @property
    def frontier(self) -> bytes | None:
        """Return the last key that is known here; call it only while the column is not read to its end."""
        return self._keys[-1] if self._keys else None

    async def fill(self, size: int) -> None:
        """Read until a row is there, or nothing more to read."""
        while not (self._keys or self.is_read):
            started = monotonic()
            page = await self._scroll(size)
            self.seconds = monotonic() - started
            self._take_in(page, size)

    def take(self, last: bytes | None) -> tuple[list[bytes], list[Record]]:
        """Remove and return the rows up to and including the key ``last``; without one all."""
        at = len(self._keys) if last is None else bisect_right(self._keys, last)
        taken = self._keys[:at], self._records[:at]
        del self._keys[:at], self._records[:at]
        return taken

    async def _scroll(self, size: int) -> Page:
        offset = None if self._next is None else decode_key(self._next)
        request = ScrollRequest(offset=offset, limit=size, with_payload=True, with_vector=True)
        return await self._reader.scroll(self._collection, request)

    def _take_in(self, page: Page, size: int) -> None:
        records = list(page.records)
        keys = [encode_key(record.id) for record in records]
        _require_order(self._next, keys)
        if not keys and page.next_id is not None:
            message = "a store answered a scroll with no point and a next one"
            raise StoreError(message)
        is_last = len(keys) < size and page.next_id is None
        if self._until is not None and keys and keys[-1] >= self._until:
            within = sum(key < self._until for key in keys)
            del keys[within:], records[within:]
            is_last = True
        following = successor(keys[-1]) if keys else self._next
        self._next = following
        self.is_read = is_last or following is None or not keys
        self._keys += keys
        self._records += records


def _require_order(start: bytes | None, keys: Sequence[bytes]) -> None:
    """Raise ``StoreError`` unless the keys ascend and none is before the start."""
    begins_before = start is not None and bool(keys) and keys[0] < start
    if begins_before or any(one >= other for one, other in pairwise(keys)):
        message = "a store answered a scroll with ids that are not in ascending order"
        raise StoreError(message)


class Pair:
    """Both stores' columns of one range, merged as far as both are known."""

    def __init__(self, source: Column, target: Column) -> None:
        self.source = source
        self.target = target

    async def fill(self, size: int) -> None:
        """Read both at once where rows are lacking."""
        await together(self.source.fill(size), self.target.fill(size))

    def take(self) -> tuple[Rows, bytes | None]:
        """Return the next rows and the key to read on from, ``None`` at the range's end; call it when filled."""
        ends = [
            column.frontier
            for column in (self.source, self.target)
            if not column.is_read and column.frontier is not None
        ]
        last = min(ends, default=None)
        rows = _merged(self.source.take(last), self.target.take(last))
        return rows, None if last is None else successor(last)


def _merged(
    source: tuple[list[bytes], list[Record]], target: tuple[list[bytes], list[Record]]
) -> Rows:
    if source[0] == target[0]:
        return Rows(source[0], source[1], target[1])
    ours, theirs = (dict(zip(*side, strict=True)) for side in (source, target))
    keys = sorted(ours.keys() | theirs.keys())
    return Rows(keys, [ours.get(key) for key in keys], [theirs.get(key) for key in keys])
