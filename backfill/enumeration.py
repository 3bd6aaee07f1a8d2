"""Two stores side by side in id order, and the ranges that they are read in.

What is read next is decided here for the verification alone, on purpose not by the backfill's code: what the one never
reads the other must not be blind to. It goes on from the successor of the last key that it saw, and ends a store only
where a page comes back shorter than it was asked for; what the store says of its next page is not relied on.

Each store is read ahead: it is asked for its next page as soon as the last id of the one that came is known, so that it
works while pages are decoded and compared.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, pairwise, tee
from time import monotonic

from backfill.ahead import Ahead, ahead_of
from backfill.comparison import Rows
from backfill.key_range import KeyRange
from backfill.together import together
from service.errors import StoreError, VecferryError
from service.model.ids import MAX_INTEGER_ID, PointId, decode_key, encode_key
from service.model.points import Page, Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader

_LAST_INTEGER = encode_key(MAX_INTEGER_ID)
_FIRST_UUID = encode_key("00000000-0000-0000-0000-000000000000")
_LAST_UUID = encode_key("ffffffff-ffff-ffff-ffff-ffffffffffff")
_PAGES_AHEAD = 1
"""Of each store are in memory the page that is compared, one that is ready, one that waits to be, one as it came."""


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


@dataclass(frozen=True, slots=True)
class Part:
    """A page of one store within a range: keys in ascending order, and what the store has of each."""

    keys: list[bytes]
    records: list[Record]
    is_last: bool
    seconds: float
    """What reading it took."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """A page as it came, and where the next one begins: ``None`` when there is none in the range."""

    page: Page
    start: bytes | None
    next_start: bytes | None
    seconds: float


async def parts(
    reader: PointReader, collection: str, within: KeyRange, sizes: Iterator[int]
) -> AsyncGenerator[Part, None]:
    """Yield one store's part of a range in pages of these ``sizes``, which do not end; the last page may be empty.

    An error is raised behind the pages that came before it. Raises ``StoreError`` when pages are not in order.
    """
    answer: _Answer | VecferryError
    answer = await _asked(reader, collection, within, within.first, next(sizes))
    while isinstance(answer, _Answer):
        # A thread: it takes longer than a client's request, and the event loop may have clients.
        decoding = asyncio.to_thread(_decoded, answer, within)
        if answer.next_start is None:
            yield await decoding
            return
        asking = _asked(reader, collection, within, answer.next_start, next(sizes))
        part, answer = await together(decoding, asking)
        yield part
    raise answer


async def _asked(
    reader: PointReader, collection: str, within: KeyRange, start: bytes | None, size: int
) -> _Answer | VecferryError:
    began = monotonic()
    offset = None if start is None else decode_key(start)
    request = ScrollRequest(offset=offset, limit=size, with_payload=True, with_vector=True)
    try:
        page = await reader.scroll(collection, request)
    except VecferryError as error:
        return error
    if not page.records and page.next_id is not None:
        return StoreError("a store answered a scroll with no point and a next one")
    return _Answer(page, start, _next_start(page, within, size), monotonic() - began)


def _next_start(page: Page, within: KeyRange, size: int) -> bytes | None:
    is_last = len(page.records) < size and page.next_id is None
    if is_last or not page.records:
        return None
    following = successor(encode_key(page.records[-1].id))
    is_in_range = following is not None and (within.until is None or following < within.until)
    return following if is_in_range else None


def _decoded(answer: _Answer, within: KeyRange) -> Part:
    records = list(answer.page.records)
    keys = [encode_key(record.id) for record in records]
    _require_order(answer.start, keys)
    if within.until is not None:
        end = bisect_left(keys, within.until)
        del keys[end:], records[end:]
    return Part(keys, records, answer.next_start is None, answer.seconds)


def _require_order(start: bytes | None, keys: Sequence[bytes]) -> None:
    """Raise ``StoreError`` unless the keys ascend and none is before the start."""
    begins_before = start is not None and bool(keys) and keys[0] < start
    if begins_before or any(one >= other for one, other in pairwise(keys)):
        message = "a store answered a scroll with ids that are not in ascending order"
        raise StoreError(message)


class Column:
    """One store's part of a range in ascending id order, filled page by page."""

    def __init__(self, ahead: Ahead[Part]) -> None:
        self._ahead = ahead
        self._keys: list[bytes] = []
        self._records: list[Record] = []
        self.is_read = False
        """Whether nothing more is to be read."""
        self.seconds = 0.0
        """How long reading the last page took."""

    @property
    def frontier(self) -> bytes | None:
        """Return the last key that is known here; call it only while the column is not read to its end."""
        return self._keys[-1] if self._keys else None

    async def fill(self) -> None:
        """Wait until a row is there, or nothing more to read. Raises what reading it raised."""
        while not (self._keys or self.is_read):
            part = await self._ahead.take()
            if part is None:
                message = "a store's last page did not come"
                raise StoreError(message)
            self._keys, self._records = part.keys, part.records
            self.is_read, self.seconds = part.is_last, part.seconds

    def take(self, last: bytes | None) -> tuple[list[bytes], list[Record]]:
        """Remove and return the rows up to and including the key ``last``; without one all."""
        at = len(self._keys) if last is None else bisect_right(self._keys, last)
        taken = self._keys[:at], self._records[:at]
        del self._keys[:at], self._records[:at]
        return taken


class Pair:
    """Both stores' columns of one range, merged as far as both are known; made by :func:`side_by_side`."""

    def __init__(self, source: Column, target: Column) -> None:
        self.source = source
        self.target = target

    async def fill(self) -> None:
        """Wait for both where rows are lacking."""
        await together(self.source.fill(), self.target.fill())

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


@asynccontextmanager
async def side_by_side(
    source: PointReader,
    target: PointReader,
    collection: str,
    within: KeyRange,
    size: Callable[[], int],
) -> AsyncIterator[Pair]:
    """Read both stores' parts of a range ahead of whoever takes the rows, until the block ends."""
    # The pages of equal stores are cut at the same ids then, whichever store is faster.
    sizes = tee(size() for _ in count())
    ours, theirs = (
        parts(reader, collection, within, each)
        for reader, each in zip((source, target), sizes, strict=True)
    )
    async with ahead_of(ours, _PAGES_AHEAD) as first, ahead_of(theirs, _PAGES_AHEAD) as second:
        yield Pair(Column(first), Column(second))


def _merged(
    source: tuple[list[bytes], list[Record]], target: tuple[list[bytes], list[Record]]
) -> Rows:
    if source[0] == target[0]:
        return Rows(source[0], source[1], target[1])
    ours, theirs = (dict(zip(*side, strict=True)) for side in (source, target))
    keys = sorted(ours.keys() | theirs.keys())
    return Rows(keys, [ours.get(key) for key in keys], [theirs.get(key) for key in keys])
