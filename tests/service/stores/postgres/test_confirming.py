"""A difference is confirmed only where no write can be between the stores."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from backfill.canonical import Kind
from backfill.confirming import Judgement
from service.control.state import CollectionState
from service.errors import SourceUnavailable, StageError
from service.model.ids import PointId, encode_key
from service.model.points import Point
from service.protocol.ledger import Fetch, Hint, HintStore
from service.stages import Side, Stage
from service.stores.postgres import confirming, whole
from service.stores.postgres.confirming import PostgresJudge
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.hinted import PostgresHinted
from service.stores.postgres.intents import PostgresIntents
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.hints import QdrantHints
from service.stores.qdrant.register import QdrantRegister
from tests.service.stores.postgres.resyncs import Pushes, having, resynced
from tests.service.stores.postgres.staged import (
    intent_of,
    numbers,
    point,
    staged,
    until_one_waits,
)


@pytest.fixture
async def hints(qdrant_url: str, collection_name: str) -> AsyncIterator[QdrantHints]:
    """A store of hints on a real server."""
    async with QdrantHttp(qdrant_url) as http:
        await QdrantRegister(http, collection_name).prepare()
        yield QdrantHints(http, collection_name)


def doing(first: Callable[[], Awaitable[object]], then: Fetch) -> Fetch:
    """Return a source in which something happens before it is read."""

    async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
        await first()
        return await then(ids)

    return fetch


async def looked(
    database: Database,
    state: CollectionState,
    source: Fetch,
    *ids: PointId,
    hints: HintStore | None = None,
) -> dict[PointId, tuple[tuple[Kind, ...], bool]]:
    """Look at ids and return what was seen of each."""
    assert state.generation is not None
    judge = PostgresJudge(database, lambda _: source, hints)
    keys = [encode_key(each) for each in ids]
    found: Sequence[Judgement] = await judge.judge(state.name, state.generation, keys)
    assert [each.key for each in found] == keys
    return {i: (each.kinds, each.is_settled) for i, each in zip(ids, found, strict=True)}


async def test_what_differs_and_what_does_not(
    database: Database, control: PostgresControl, log: PostgresIntents, owner: UUID
) -> None:
    """Both directions, and an id that neither store has."""
    state = await staged(control, Stage.DUALWRITE)
    intent = intent_of(state, 1, 2, 3)
    await log.insert([intent], owner=owner)
    await resynced(log, state, [intent], having(point(1), point(2), point(3)))
    source = having(point(1), point(2, 5.0), point(4))
    assert await looked(database, state, source, 3, 1, 4, 2, 9) == {
        1: ((), True),
        2: ((Kind.PAYLOAD, Kind.VECTOR), True),
        3: ((Kind.EXTRA,), True),
        4: ((Kind.MISSING,), True),
        9: ((), True),
    }


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
@pytest.mark.parametrize("behind", [Side.SOURCE, Side.TARGET])
async def test_an_unsettled_write_names_its_ids_only(
    database: Database,
    control: PostgresControl,
    log: PostgresIntents,
    owner: UUID,
    stage: Stage,
    behind: Side,
) -> None:
    """Whichever store is behind; the others are confirmed."""
    state = await staged(control, stage)
    await log.insert([intent_of(state, 1, 7, behind=behind)], owner=owner)
    found = await looked(database, state, having(point(1), point(2)), 1, 2)
    assert found == {1: ((Kind.MISSING,), False), 2: ((Kind.MISSING,), True)}


async def test_a_write_while_the_source_is_read_is_seen(
    database: Database, control: PostgresControl, log: PostgresIntents, owner: UUID
) -> None:
    """Its intent was committed before the source had it, so it is there when it is looked for afterwards."""
    state = await staged(control, Stage.DUALWRITE)

    async def write() -> None:
        await log.insert([intent_of(state, 1)], owner=owner)

    found = await looked(database, state, doing(write, having(point(1))), 1)
    assert found == {1: ((Kind.MISSING,), False)}


async def test_no_write_is_settled_between_the_reads(
    database: Database, control: PostgresControl, log: PostgresIntents, owner: UUID
) -> None:
    """A resync of the id waits for the look to end: it cannot delete the intent that explains the difference."""
    state = await staged(control, Stage.DUALWRITE)
    intent = intent_of(state, 1)
    await log.insert([intent], owner=owner)
    async with asyncio.TaskGroup() as tasks:

        async def settle() -> None:
            tasks.create_task(resynced(log, state, [intent], having(point(1))))
            await until_one_waits(database)

        found = await looked(database, state, doing(settle, having(point(1))), 1)
    assert found == {1: ((Kind.MISSING,), False)}
    assert await numbers(database, 1) == {1: 1.0}


async def test_no_push_is_settled_between_the_reads(
    database: Database, control: PostgresControl, log: PostgresIntents, owner: UUID
) -> None:
    """The same where the target is right: a push to the source waits."""
    state = await staged(control, Stage.LIVE)
    intent = intent_of(state, 1, behind=Side.SOURCE)
    await log.insert([intent], owner=owner)
    pushes = Pushes()
    async with asyncio.TaskGroup() as tasks:

        async def settle() -> None:
            tasks.create_task(resynced(log, state, [intent], pushes, owner))
            await until_one_waits(database)
            assert pushes.got == []

        found = await looked(database, state, doing(settle, having(point(1))), 1)
    assert found == {1: ((Kind.MISSING,), False)}
    assert pushes.got == [({}, [1])]


async def test_a_hint_leaves_the_ids_it_names_open(
    database: Database, control: PostgresControl, hints: QdrantHints, owner: UUID
) -> None:
    """Until it is in the ledger, which names them from then on; hints of other collections name none of these."""
    state = await staged(control, Stage.DUALWRITE)
    hint = Hint(intent_of(state, 1, 2), owner)
    other = Hint(replace(intent_of(state, 3), generation=(state.generation or 0) + 1), owner)
    await hints.write([hint, other])
    source = having(point(1), point(3))
    found = await looked(database, state, source, 1, 2, 3, hints=hints)
    assert found == {1: ((Kind.MISSING,), False), 2: ((), True), 3: ((Kind.MISSING,), True)}
    await hints.discard([hint.intent.id])
    again = await looked(database, state, source, 1, hints=hints)
    assert again == {1: ((Kind.MISSING,), True)}


async def test_every_page_of_hints_is_read(
    database: Database,
    control: PostgresControl,
    hints: QdrantHints,
    owner: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An id is as open on the last page as on the first."""
    monkeypatch.setattr(confirming, "_HINTS_PER_READ", 2)
    state = await staged(control, Stage.DUALWRITE)
    await hints.write([Hint(intent_of(state, i), owner) for i in range(5)])
    found = await looked(database, state, having(*map(point, range(6))), *range(6), hints=hints)
    assert {i: is_settled for i, (_, is_settled) in found.items()} == {
        **dict.fromkeys(range(5), False),
        5: True,
    }


async def test_more_hints_than_can_be_read_leave_every_difference_open(
    database: Database,
    control: PostgresControl,
    hints: QdrantHints,
    owner: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Any of those that were not read may name any id."""
    monkeypatch.setattr(confirming, "_MOST_HINTED", 3)
    state = await staged(control, Stage.DUALWRITE)
    await hints.write([Hint(intent_of(state, i, i + 10), owner) for i in range(2)])
    found = await looked(database, state, having(point(1), point(5)), 1, 5, 6, hints=hints)
    assert found == {1: ((Kind.MISSING,), False), 5: ((Kind.MISSING,), False), 6: ((), True)}


async def test_a_hint_that_moves_to_the_ledger_is_seen(
    database: Database,
    control: PostgresControl,
    log: PostgresIntents,
    hints: QdrantHints,
    owner: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hints are read before intents: what is gone from there by then is here."""
    state = await staged(control, Stage.DUALWRITE)
    hint = Hint(intent_of(state, 1), owner)
    await hints.write([hint])
    read = confirming._keys_of

    async def moved(store: HintStore, generation: int) -> frozenset[bytes] | None:
        await PostgresHinted(database).take([hint], owner=owner)
        await hints.discard([hint.intent.id])
        return await read(store, generation)

    monkeypatch.setattr(confirming, "_keys_of", moved)
    found = await looked(database, state, having(point(1)), 1, hints=hints)
    assert found == {1: ((Kind.MISSING,), False)}


async def test_a_change_of_the_whole_collection_leaves_every_difference_open(
    database: Database, control: PostgresControl, owner: UUID
) -> None:
    """Its points may differ because one store has the change and the other has not."""
    state = await staged(control, Stage.DUALWRITE)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.collection_intents (id, name, generation, owner, behind, replaces, cause)"
            " VALUES ($1, 'c', $2, $3, 'target', false, 'test')",
            uuid4(),
            state.generation,
            owner,
        )
    found = await looked(database, state, having(point(1)), 1)
    assert found == {1: ((Kind.MISSING,), False)}


async def test_no_change_of_the_collection_is_settled_between_the_reads(
    database: Database, control: PostgresControl
) -> None:
    """It would take its intent with it, and one store would have been read before the change."""
    state = await staged(control, Stage.DUALWRITE)
    async with asyncio.TaskGroup() as tasks:

        async def settling() -> None:
            async with database.transaction() as connection:
                await connection.execute(whole._LOCK, state.name, whole._SALT)

        async def begin() -> None:
            tasks.create_task(settling())
            await until_one_waits(database)

        assert await looked(database, state, doing(begin, having()), 1) == {1: ((), True)}


async def test_a_source_that_hangs_frees_the_locks(
    database: Database, control: PostgresControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients may be waiting for them."""
    state = await staged(control, Stage.LIVE)
    monkeypatch.setattr(confirming, "_SOURCE_SECONDS", 0.05)
    hanging = doing(asyncio.Event().wait, having())
    with pytest.raises(SourceUnavailable, match="in time"):
        await looked(database, state, hanging, 1)


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.COMPLETE])
async def test_stores_that_are_not_both_written_are_not_compared(
    database: Database, control: PostgresControl, stage: Stage
) -> None:
    """Nothing follows from their difference."""
    state = await staged(control, stage)
    with pytest.raises(StageError, match=f"stage {stage}|dropped"):
        await looked(database, state, having(point(1)), 1)
