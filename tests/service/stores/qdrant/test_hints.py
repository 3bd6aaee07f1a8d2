"""Hints on a real Qdrant engine: written together, found by owner and generation, discarded one by one."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from service.control.register import Mark
from service.protocol.ledger import Hint
from service.stores.qdrant import hints as module
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.hints import QdrantHints
from service.stores.qdrant.register import QdrantRegister
from tests.service.protocol.fakes import intent

ME, OTHER = uuid4(), uuid4()
POINT = "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"


def hint(owner: UUID = ME, *, generation: int = 1) -> Hint:
    """Return a hint of an integer and a UUID."""
    return Hint(intent(7, POINT, generation=generation), owner)


def in_order(*hints: Hint) -> list[Hint]:
    """Return hints in the order of their ids."""
    return sorted(hints, key=lambda each: each.intent.id.bytes)


@pytest.fixture
async def hints(qdrant_url: str, collection_name: str) -> AsyncIterator[QdrantHints]:
    """A store of hints on a real server, with a mark beside them."""
    async with QdrantHttp(qdrant_url) as http:
        register = QdrantRegister(http, collection_name)
        await register.prepare()
        await register.mark(Mark(ME, 1))
        yield QdrantHints(http, collection_name)


async def test_a_hint_reads_back_as_it_was_written(hints: QdrantHints) -> None:
    """Ids of both kinds, cause, epoch, generation, owner and time come back."""
    first = replace(hint(), written_at=1_700_000_000.25)
    second = replace(first, intent=replace(first.intent, id=uuid4(), owed=False, cause="PUT /"))
    await hints.write([first, second])
    assert await hints.read(limit=10) == in_order(first, second)


async def test_hints_are_found_by_owner(hints: QdrantHints) -> None:
    """Each reads its own, or all."""
    mine, theirs = hint(), hint(OTHER)
    await hints.write([mine, theirs])
    assert await hints.read(owner=ME, limit=10) == [mine]
    assert await hints.read(owner=OTHER, limit=10) == [theirs]
    assert len(await hints.read(limit=10)) == 2
    assert len(await hints.read(limit=1)) == 1


async def test_hints_are_found_by_generation(hints: QdrantHints) -> None:
    """A look at differences wants those of its own collection."""
    first, second = hint(generation=1), hint(generation=2)
    await hints.write([first, second, replace(second, intent=replace(second.intent, id=uuid4()))])
    assert await hints.read(generation=1, limit=10) == [first]
    assert len(await hints.read(generation=2, limit=10)) == 2
    assert await hints.read(generation=3, limit=10) == []
    assert await hints.read(owner=OTHER, generation=1, limit=10) == []


async def test_pages_follow_each_other(hints: QdrantHints) -> None:
    """Read on behind the last one, nothing is left out and nothing comes twice."""
    written = [hint() for _ in range(5)]
    await hints.write(written)
    found: list[Hint] = []
    while page := await hints.read(after=found[-1].intent.id if found else None, limit=2):
        found += page
    assert found == in_order(*written)


async def test_hints_are_counted_by_generation(hints: QdrantHints) -> None:
    """A stage change asks about its own collection; marks are no hints."""
    await hints.write([hint(generation=1), hint(generation=2), hint(generation=2)])
    assert await hints.count() == 3
    assert await hints.count(2) == 2
    assert await hints.count(3) == 0


async def test_every_owner_is_named(hints: QdrantHints, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with few hints is found behind one with many."""
    monkeypatch.setattr(module, "_OWNERS_PAGE", 2)
    owners = [uuid4() for _ in range(3)]
    await hints.write([hint(owners[0]) for _ in range(5)] + [hint(owner) for owner in owners[1:]])
    assert await hints.owners() == set(owners)


async def test_exactly_the_named_hints_are_discarded(hints: QdrantHints) -> None:
    """The others stay; one that is gone already is no error."""
    gone, stays = hint(), hint()
    await hints.write([gone, stays])
    await hints.discard([gone.intent.id])
    await hints.discard([gone.intent.id])
    assert await hints.read(limit=10) == [stays]


async def test_without_a_register_there_are_no_hints(qdrant_url: str, collection_name: str) -> None:
    """It was never made: nothing was ever hinted."""
    async with QdrantHttp(qdrant_url) as http:
        hints = QdrantHints(http, collection_name)
        assert await hints.read(limit=1) == []
        assert await hints.owners() == set()
        assert await hints.count() == 0
