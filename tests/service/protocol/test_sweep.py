"""The sweep: a walk over the whole ledger, page by page, again and again."""

from uuid import uuid4

import pytest

from service.protocol import sweep
from service.protocol.sweep import Sweep
from tests.service.protocol.fakes import MemoryLog, entry, intent


@pytest.fixture
def walk(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """A walk in pages of two over five intents of two generations."""
    monkeypatch.setattr(sweep, "PAGE", 2)
    for number in range(5):
        row = intent(number, generation=1 + number // 4)
        log.rows[row.id] = row
    return Sweep(log, uuid4(), 10.0)


async def test_every_page_is_seen_and_then_the_first_again(walk: Sweep, log: MemoryLog) -> None:
    """The end of a walk says which generations it met, and the next one begins at the oldest intent."""
    pages = [await walk.next_page() for _ in range(6)]
    assert [len(entries) for entries, _ in pages] == [2, 2, 1, 2, 2, 1]
    assert [met for _, met in pages] == [None, None, {1, 2}] * 2
    assert [each.id for entries, _ in pages[:3] for each in entries] == list(log.rows)


async def test_a_blind_walk_ends_when_it_has_seen_all(walk: Sweep) -> None:
    """What was forgotten is found by a walk that begins after it; one that was half-way proves nothing."""
    await walk.next_page()
    walk.blind(5.0)
    assert not walk.may_read(4.9)
    assert walk.may_read(5.0)
    await walk.next_page()
    await walk.next_page()
    assert walk.is_blind
    for _ in range(3):
        assert walk.is_blind
        await walk.next_page()
    assert not walk.is_blind


async def test_orphans_are_taken_as_room_allows(walk: Sweep, log: MemoryLog) -> None:
    """Never more than there is room for, nor more than a page at a time."""
    log.orphans = [entry(intent(number)) for number in range(5)]
    assert await walk.orphans(0) == []
    assert len(await walk.orphans(1)) == 1
    assert len(await walk.orphans(100)) == 2
