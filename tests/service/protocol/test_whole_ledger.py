"""Both parts of the ledger as one, with either of them away."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from service.errors import SourceUnavailable, TargetUnavailable, WrongInput
from service.model.ids import encode_key
from service.protocol import whole_ledger
from service.protocol.book import Line, LineState, Tally
from service.protocol.ledger import Hint, HintStore, Intent, Place
from service.protocol.whole_ledger import WholeLedger
from service.stages import Side

OWNER = UUID(int=99)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
AWAY = TargetUnavailable("is not available")
QDRANT_AWAY = SourceUnavailable("cannot be reached")


class Book:
    """Lines with the ids 1 … ``size``, a second apart."""

    def __init__(self, size: int = 0, error: Exception | None = None) -> None:
        self.size = size
        self.error = error

    async def lines(
        self, *, collection: str | None, state: LineState | None, after: Place | None, limit: int
    ) -> tuple[Sequence[Line], Place | None]:
        if self.error:
            raise self.error
        first = 1 if after is None else after.id.int + 1
        last = min(self.size, first + limit - 1)
        lines = [_line(number) for number in range(first, last + 1)]
        end = Place(BEGIN + timedelta(seconds=last), UUID(int=last))
        return lines, end if last < self.size else None

    async def tallies(self, *, collection: str | None) -> Sequence[Tally]:
        if self.error:
            raise self.error
        return [Tally("c", Side.TARGET, LineState.OPEN, "test", self.size, self.size, 1.0)]

    async def retry(self, *, collection: str | None, ids: Sequence[UUID] | None) -> int:
        return len(ids or ())


_ONLY_READ = "the list of what is open changes no hint"


class Hints:
    """Hints with these ids, of collection ``c`` when they are odd and ``d`` when they are even.

    No page has more than ``most``, as from replicas that do not agree.
    """

    def __init__(
        self, *numbers: int, most: int | None = None, error: Exception | None = None
    ) -> None:
        self._hints = [_hint(number) for number in sorted(numbers)]
        self._most = most
        self.error = error

    async def write(self, hints: Sequence[Hint]) -> None:
        raise AssertionError(_ONLY_READ)

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        if self.error:
            raise self.error
        first = 0 if after is None else after.int
        behind = [hint for hint in self._hints if hint.intent.id.int > first]
        return behind[:limit][: self._most]

    async def count(self, generation: int | None = None) -> int:
        return len(self._hints)

    async def discard(self, ids: Sequence[UUID]) -> None:
        raise AssertionError(_ONLY_READ)


def _hint(number: int) -> Hint:
    name = "c" if number % 2 else "d"
    keys = (encode_key(number), encode_key(number + 1))
    intent = Intent(UUID(int=number), 1, 1, Side.TARGET, True, keys, "PUT /", name)
    return Hint(intent, OWNER, time.time() - number)


def _line(number: int) -> Line:
    return Line(
        id=UUID(int=number), collection="c", generation=1, behind=Side.TARGET,
        state=LineState.OPEN, cause="test", ids=(number,), is_whole=False, owed=True, owner=OWNER,
        age_seconds=1.0, failures=0, error=None,
    )  # fmt: skip


async def _walk(
    ledger: WholeLedger,
    limit: int,
    *,
    collection: str | None = None,
    state: LineState | None = None,
) -> tuple[list[Line], dict[Side, str]]:
    lines: list[Line] = []
    unread: dict[Side, str] = {}
    after: str | None = None
    while True:
        page = await ledger.page(collection=collection, state=state, after=after, limit=limit)
        assert len(page.lines) <= limit
        lines += page.lines
        unread |= page.unread
        after = page.next
        if after is None:
            return lines, unread


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 7, 8, 100])
async def test_hints_follow_the_intents_whatever_the_pages(limit: int) -> None:
    """Every line once: Postgres' first, then the hints, with all their ids and an age."""
    lines, unread = await _walk(WholeLedger(Book(5), Hints(11, 12, 13)), limit)
    assert [line.id.int for line in lines] == [1, 2, 3, 4, 5, 11, 12, 13]
    last = lines[-1]
    assert (last.state, last.ids) == (LineState.HINT, (13, 14))
    assert last.age_seconds == pytest.approx(13.0, abs=5.0)
    assert (last.cause, last.owner, last.error, unread) == ("PUT /", OWNER, None, {})


async def test_a_short_page_of_hints_is_not_the_last() -> None:
    """Only an empty one is: neither the list nor the count may end before."""
    ledger = WholeLedger(Book(2), Hints(11, 12, 13, most=1))
    lines, _ = await _walk(ledger, 100)
    assert [line.id.int for line in lines] == [1, 2, 11, 12, 13]
    tallies = (await ledger.count(collection=None)).tallies
    assert sum(each.intents for each in tallies if each.state is LineState.HINT) == 3


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_hints_are_found_by_collection_and_by_state(limit: int) -> None:
    """A state of Postgres' leaves them out, theirs leaves Postgres out."""
    ledger = WholeLedger(Book(2), Hints(11, 12, 13))
    hints, _ = await _walk(ledger, limit, collection="c", state=LineState.HINT)
    assert [line.id.int for line in hints] == [11, 13]
    intents, _ = await _walk(ledger, limit, state=LineState.OPEN)
    assert [line.id.int for line in intents] == [1, 2]


async def test_without_a_source_there_are_no_hints() -> None:
    """And nothing is missing."""
    lines, unread = await _walk(WholeLedger(Book(2), None), 10)
    assert (len(lines), unread) == (2, {})


async def test_what_cannot_be_read_is_said() -> None:
    """The other part is shown: the hints above all, which are for the time without Postgres."""
    hints, unread = await _walk(WholeLedger(Book(error=AWAY), Hints(11)), 10)
    assert [line.id.int for line in hints] == [11]
    assert unread == {Side.TARGET: str(AWAY)}
    lines, unread = await _walk(WholeLedger(Book(2), Hints(error=QDRANT_AWAY)), 10)
    assert (len(lines), unread) == (2, {Side.SOURCE: str(QDRANT_AWAY)})


async def test_counts_are_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints are counted page by page, by collection and cause."""
    monkeypatch.setattr(whole_ledger, "_HINTS_PER_READ", 2)
    count = await WholeLedger(Book(5), Hints(11, 12, 13)).count(collection=None)
    assert [(t.collection, t.state, t.intents, t.ids) for t in count.tallies] == [
        ("c", LineState.OPEN, 5, 5),
        ("c", LineState.HINT, 2, 4),
        ("d", LineState.HINT, 1, 2),
    ]
    assert count.tallies[1].oldest_seconds == pytest.approx(13.0, abs=5.0)
    assert count.unread == {}


async def test_a_count_says_what_it_lacks() -> None:
    """With both away there is nothing to count, and both are named."""
    count = await WholeLedger(Book(error=AWAY), Hints(error=QDRANT_AWAY)).count(collection=None)
    assert count.tallies == []
    assert count.unread == {Side.TARGET: str(AWAY), Side.SOURCE: str(QDRANT_AWAY)}


async def test_a_database_that_hangs_does_not_hang_the_operator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a bounded time it counts as away."""
    monkeypatch.setattr(whole_ledger, "_READ_SECONDS", 0.02)

    class Hanging(Book):
        async def lines(self, **_: object) -> tuple[Sequence[Line], Place | None]:
            await asyncio.sleep(60)
            raise AssertionError

        async def tallies(self, *, collection: str | None) -> Sequence[Tally]:
            await asyncio.sleep(60)
            raise AssertionError

    ledger = WholeLedger(Hanging(), Hints(11))
    page = await ledger.page(collection=None, state=None, after=None, limit=5)
    count = await ledger.count(collection=None)
    assert page.unread == count.unread == {Side.TARGET: "did not answer in time"}


@pytest.mark.parametrize("cursor", ["", "x", "hints~x", "2026-01-01T00:00:00+00:00~x", "~"])
async def test_a_cursor_of_somebody_elses_is_refused(cursor: str) -> None:
    """It never means the beginning."""
    with pytest.raises(WrongInput):
        await WholeLedger(Book(2), None).page(collection=None, state=None, after=cursor, limit=1)


def _proves_port(hints: Hints) -> HintStore:
    return hints
