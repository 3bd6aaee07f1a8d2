"""The register on a real Qdrant engine: records by compare-and-set, marks that come and go."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from service.control.register import Mark, Record
from service.control.state import CollectionState
from service.stages import Stage
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.register import QdrantRegister

STATE = CollectionState("user_1", Stage.RAMP, 7, 30, 4, backfilled=True, frozen=True)


@pytest.fixture
async def register(qdrant_url: str, collection_name: str) -> AsyncIterator[QdrantRegister]:
    """A prepared register on a real server."""
    async with QdrantHttp(qdrant_url) as http:
        register = QdrantRegister(http, collection_name)
        await register.prepare()
        yield register


async def test_a_record_reads_back_as_it_was_stored(register: QdrantRegister) -> None:
    """All of the state comes back, also where there are no tables."""
    off = Record(CollectionState("other", Stage.OFF), 1)
    assert await register.swap(Record(STATE, 1))
    assert await register.swap(off)
    assert await register.record("user_1") == Record(STATE, 1)
    assert await register.record("nobody") is None
    by_name = sorted(await register.records(), key=lambda record: record.state.name)
    assert by_name == [off, Record(STATE, 1)]


async def test_a_first_record_overwrites_nothing(register: QdrantRegister) -> None:
    """Version 1 is stored only where there is no record."""
    assert await register.swap(Record(STATE, 1))
    assert not await register.swap(Record(replace(STATE, percent=99), 1))
    assert await register.record("user_1") == Record(STATE, 1)


async def test_a_swap_needs_the_version_before(register: QdrantRegister) -> None:
    """A record replaces its predecessor, and neither an older nor a newer one."""
    await register.swap(Record(STATE, 1))
    assert await register.swap(Record(replace(STATE, epoch=5), 2))
    assert not await register.swap(Record(replace(STATE, epoch=6), 2))
    assert not await register.swap(Record(replace(STATE, epoch=6), 4))
    assert await register.record("user_1") == Record(replace(STATE, epoch=5), 2)


async def test_a_successor_of_nothing_is_not_stored(register: QdrantRegister) -> None:
    """Where the register was lost, a record that was read before does not come back by itself."""
    assert not await register.swap(Record(STATE, 2))
    assert await register.record("user_1") is None


@pytest.mark.parametrize("version", [1, 2])
async def test_of_concurrent_swaps_exactly_one_wins(register: QdrantRegister, version: int) -> None:
    """Of many that read the same version one is told that it won, and its record is the one that stays."""
    if version > 1:
        await register.swap(Record(STATE, version - 1))
    wanted = [Record(replace(STATE, epoch=epoch), version) for epoch in range(16)]
    won = await asyncio.gather(*(register.swap(record) for record in wanted))
    assert sum(won) == 1
    assert await register.record("user_1") == wanted[won.index(True)]


async def test_a_mark_beats_until_it_is_taken_away(register: QdrantRegister) -> None:
    """An instance has one mark, whose beat is the newest; what ends an older one comes too late."""
    mine, other = uuid4(), uuid4()
    await register.mark(Mark(mine, 1))
    await register.mark(Mark(other, 5))
    await register.mark(Mark(mine, 2))
    assert set(await register.marks()) == {Mark(mine, 2), Mark(other, 5)}
    await register.unmark(Mark(mine, 1))
    assert set(await register.marks()) == {Mark(mine, 2), Mark(other, 5)}
    for _ in range(2):
        await register.unmark(Mark(mine, 3))
    assert await register.marks() == [Mark(other, 5)]


async def test_marks_are_no_records(register: QdrantRegister) -> None:
    """The kinds are kept apart."""
    await register.swap(Record(STATE, 1))
    await register.mark(Mark(uuid4(), 1))
    assert await register.records() == [Record(STATE, 1)]
    assert len(await register.marks()) == 1
