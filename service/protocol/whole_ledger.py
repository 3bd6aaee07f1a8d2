"""The whole ledger: the intents in Postgres, oldest first, and behind them the hints in the source.

Each of the two is read for itself, so that the one is shown while the other does not answer, and that is said.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from service.errors import StoreError, VecferryError, WrongInput
from service.model.ids import decode_key
from service.protocol.book import LedgerBook, Line, LineState, Tally
from service.protocol.ledger import Hint, HintStore, Place
from service.stages import Side

_READ_SECONDS = 5.0
_HINTS_PER_READ = 1_000
_HINTS = "hints"
"""The cursor at the end of Postgres' lines."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines; ``next`` begins the page behind them, ``None`` at the end. ``unread`` says of a side why it is missing."""

    lines: Sequence[Line]
    next: str | None
    unread: Mapping[Side, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """Tallies, and of a side why it is missing."""

    tallies: Sequence[Tally]
    unread: Mapping[Side, str] = field(default_factory=dict)


class WholeLedger:
    """Reads both parts of the ledger. ``hints`` is ``None`` where there is no source."""

    def __init__(self, book: LedgerBook, hints: HintStore | None) -> None:
        self._book = book
        self._hints = hints

    async def page(
        self, *, collection: str | None, state: LineState | None, after: str | None, limit: int
    ) -> Lines:
        """Return up to ``limit`` lines behind a cursor. Raises ``WrongInput`` for one that is not ours."""
        place, hint, is_at_hints = _parsed(after)
        if is_at_hints or state is LineState.HINT:
            return await self._hinted(collection, hint, limit)
        try:
            async with asyncio.timeout(_READ_SECONDS):
                lines, last = await self._book.lines(
                    collection=collection, state=state, after=place, limit=limit
                )
        except (StoreError, TimeoutError) as error:
            # The hints are for this very time.
            following = None if state else _HINTS
            return Lines([], following, {Side.TARGET: _reason(error)})
        if last is not None:
            return Lines(lines, f"{last.created_at.isoformat()}~{last.id}")
        if state is None and len(lines) < limit:
            hinted = await self._hinted(collection, None, limit - len(lines))
            return Lines([*lines, *hinted.lines], hinted.next, hinted.unread)
        return Lines(lines, None if state else _HINTS)

    async def count(self, *, collection: str | None) -> Counts:
        """Return all tallies, those of the hints last."""
        tallies: list[Tally] = []
        unread: dict[Side, str] = {}
        try:
            async with asyncio.timeout(_READ_SECONDS):
                tallies += await self._book.tallies(collection=collection)
        except (StoreError, TimeoutError) as error:
            unread[Side.TARGET] = _reason(error)
        try:
            tallies += await self._hint_tallies(collection)
        except VecferryError as error:
            unread[Side.SOURCE] = _reason(error)
        return Counts(tallies, unread)

    async def retry(self, *, collection: str | None, ids: Sequence[UUID] | None) -> int:
        """Have failing and dead intents tried again now; returns how many."""
        return await self._book.retry(collection=collection, ids=ids)

    async def _hinted(self, collection: str | None, after: UUID | None, limit: int) -> Lines:
        if self._hints is None:
            return Lines([], None)
        try:
            hints = await self._hints.read(after=after, limit=limit)
        except VecferryError as error:
            return Lines([], None, {Side.SOURCE: _reason(error)})
        following = f"{_HINTS}~{hints[-1].intent.id}" if hints else None
        wanted = [hint for hint in hints if collection in {None, hint.intent.collection}]
        return Lines([_line(hint) for hint in wanted], following)

    async def _hint_tallies(self, collection: str | None) -> list[Tally]:
        """Count the hints page by page: only the counts are kept."""
        counts: dict[tuple[str, Side, str], list[int]] = defaultdict(lambda: [0, 0])
        oldest: dict[tuple[str, Side, str], float] = {}
        after: UUID | None = None
        while self._hints is not None and (
            hints := await self._hints.read(after=after, limit=_HINTS_PER_READ)
        ):
            for hint in hints:
                intent = hint.intent
                if collection in {None, intent.collection}:
                    kind = intent.collection, intent.behind, intent.cause
                    counts[kind][0] += 1
                    counts[kind][1] += len(intent.keys)
                    oldest[kind] = max(oldest.get(kind, 0.0), _age(hint) or 0.0)
            after = hints[-1].intent.id
        return [
            Tally(*kind[:2], LineState.HINT, kind[2], intents, ids, oldest[kind])
            for kind, (intents, ids) in sorted(counts.items())
        ]


def _parsed(cursor: str | None) -> tuple[Place | None, UUID | None, bool]:
    """Return what a page begins behind: a line of Postgres', a hint, and whether it is among the hints."""
    if cursor is None:
        return None, None, False
    begin, _, behind = cursor.partition("~")
    try:
        if begin == _HINTS:
            return None, UUID(behind) if behind else None, True
        return Place(datetime.fromisoformat(begin), UUID(behind)), None, False
    except ValueError:
        reason = f"`{cursor}` is not the end of a page of the ledger"
        raise WrongInput(reason) from None


def _line(hint: Hint) -> Line:
    intent = hint.intent
    return Line(
        id=intent.id,
        collection=intent.collection,
        generation=intent.generation,
        behind=intent.behind,
        state=LineState.HINT,
        cause=intent.cause,
        ids=tuple(decode_key(key) for key in intent.keys),
        is_whole=False,
        owed=intent.owed,
        owner=hint.owner,
        age_seconds=_age(hint),
        failures=0,
        error=None,
    )


def _age(hint: Hint) -> float | None:
    return None if hint.written_at is None else max(0.0, time.time() - hint.written_at)


def _reason(error: Exception) -> str:
    return str(error) or "did not answer in time"
