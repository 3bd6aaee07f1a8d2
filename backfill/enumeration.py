"""Two stores side by side, in id order.

Written for the verification alone, on purpose not shared with the backfill: what the one never
reads the other must not be blind to.
"""

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from backfill.retry import Retry
from backfill.together import together
from service.model.ids import PointId, decode_key, encode_key
from service.model.points import Page, Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader


@dataclass(frozen=True, slots=True)
class Pair:
    """One id's points; ``None`` where a store has none."""

    id: PointId
    control: Record | None
    candidate: Record | None


class Column:
    """One store's collection as a queue in ascending id order, filled page by page."""

    def __init__(
        self, reader: PointReader, collection: str, *, page_size: int, retry: Retry
    ) -> None:
        self._reader = reader
        self._collection = collection
        self._page_size = page_size
        self._retry = retry
        self._rows: deque[tuple[bytes, Record]] = deque()
        self._next: PointId | None = None
        self._is_last = False
        self.points = 0

    @property
    def is_waiting(self) -> bool:
        """Say whether a page has to be read before the next row is known."""
        return not self._rows and not self._is_last

    async def fill(self) -> None:
        """Read pages until there is a row, or nothing more to read."""
        while self.is_waiting:
            page = await self._retry.call(self._scroll)
            self._rows.extend((encode_key(record.id), record) for record in page.records)
            self.points += len(page.records)
            self._next, self._is_last = page.next_id, page.next_id is None

    def head(self) -> bytes | None:
        """Return the key of the first row, ``None`` after the last one."""
        return self._rows[0][0] if self._rows else None

    def take(self, key: bytes) -> Record | None:
        """Remove and return the first row if it has this key."""
        return self._rows.popleft()[1] if self.head() == key else None

    async def _scroll(self) -> Page:
        request = ScrollRequest(
            offset=self._next, limit=self._page_size, with_payload=True, with_vector=True
        )
        return await self._reader.scroll(self._collection, request)


async def side_by_side(control: Column, candidate: Column) -> AsyncIterator[Pair]:
    """Yield every id of either store once, ascending."""
    while True:
        if control.is_waiting or candidate.is_waiting:
            await together(control.fill(), candidate.fill())
        heads = [key for key in (control.head(), candidate.head()) if key is not None]
        if not heads:
            return
        key = min(heads)
        yield Pair(decode_key(key), control.take(key), candidate.take(key))
