"""Group commit: who shares an insert, who pays for a failure, and when an intent becomes a hint."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from service.errors import Overloaded, SourceUnavailable, StaleEpoch, TargetUnavailable
from service.metrics import ProxyMetrics
from service.protocol import commits
from service.protocol.breaker import Circuit
from service.protocol.commits import GroupCommit, HintPath, Stored
from service.protocol.ledger import Intent
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from tests.service.protocol.fakes import MemoryLog, intent
from tests.service.running import running, until
from tests.service.stores.postgres.staged import intent_of, registered, staged


@pytest.fixture
async def group(log: MemoryLog, counted: ProxyMetrics) -> AsyncIterator[GroupCommit]:
    """A group commit at work."""
    group = GroupCommit(log, uuid4(), counted)
    async with running(group.run()):
        yield group


async def test_concurrent_commits_share_one_insert(log: MemoryLog, group: GroupCommit) -> None:
    """What gathers while an insert is under way goes into the next one, all together."""
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(group.commit(intent(0)))
        await until(lambda: log.batches)
        for number in range(1, 11):
            tasks.create_task(group.commit(intent(number)))
        await asyncio.sleep(0)
        log.gate.set()
    assert log.batches == [1, 10]
    assert len(log.rows) == 11


async def test_a_batch_is_bounded(
    log: MemoryLog, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a batch may hold goes into the one after it."""
    monkeypatch.setattr(commits, "_MOST_PER_COMMIT", 4)
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(group.commit(intent(0)))
        await until(lambda: log.batches)
        for number in range(1, 7):
            tasks.create_task(group.commit(intent(number)))
        await asyncio.sleep(0)
        log.gate.set()
    assert log.batches == [1, 4, 2]


async def test_a_commit_returns_only_when_it_is_durable(log: MemoryLog, group: GroupCommit) -> None:
    """While the insert is under way the request waits."""
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(group.commit(intent(1)))
        await until(lambda: log.batches)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        log.gate.set()


async def test_only_the_owner_of_a_refused_intent_is_told(
    log: MemoryLog, group: GroupCommit, counted: ProxyMetrics
) -> None:
    """An intent of an old epoch fails its own request and no other of its batch."""
    log.gate.clear()
    good, bad = intent(1), intent(2)
    log.stale = {bad.id}
    first = asyncio.gather(
        group.commit(intent(0)), group.commit(good), group.commit(bad), return_exceptions=True
    )
    await asyncio.sleep(0)
    log.gate.set()
    outcomes = await first
    assert outcomes[0] is outcomes[1] is Stored.LEDGER
    assert isinstance(outcomes[2], StaleEpoch)
    assert good.id in log.rows
    assert counted.stale_epochs._value.get() == 1


async def test_a_failing_insert_fails_only_its_batch(log: MemoryLog, group: GroupCommit) -> None:
    """The next batch is tried as if nothing had happened."""
    log.insert_errors = [TargetUnavailable("is away")]
    failed = await asyncio.gather(
        group.commit(intent(1)), group.commit(intent(2)), return_exceptions=True
    )
    assert [type(outcome) for outcome in failed] == [TargetUnavailable, TargetUnavailable]
    await group.commit(intent(3))
    assert len(log.rows) == 1


async def test_a_cancelled_request_leaves_the_others_alone(
    log: MemoryLog, group: GroupCommit
) -> None:
    """A client that goes away while it waits does not end the committer."""
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        gone = tasks.create_task(group.commit(intent(1)))
        await until(lambda: log.batches)
        gone.cancel()
        await asyncio.sleep(0)
        log.gate.set()
        await group.commit(intent(2))
    assert len(log.rows) == 2


async def test_too_many_waiting_are_refused(
    log: MemoryLog, counted: ProxyMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded; who finds it full is told to come again."""
    monkeypatch.setattr(commits, "_MOST_WAITING", 1)
    group = GroupCommit(log, uuid4(), counted)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(group.commit(intent(1)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await group.commit(intent(2))
        waiting.cancel()


async def test_a_commit_that_takes_too_long_is_refused(
    log: MemoryLog, counted: ProxyMetrics
) -> None:
    """A hung database does not hang the clients; what it stores later is the sweep's."""
    group = GroupCommit(log, uuid4(), counted, seconds=0.02)
    log.gate.clear()
    async with running(group.run()):
        with pytest.raises(TargetUnavailable, match="within"):
            await group.commit(intent(1))
        log.gate.set()
        await until(lambda: log.rows)
        assert await group.commit(intent(2)) is Stored.LEDGER


async def test_an_unforeseen_failure_is_the_batchs_own(log: MemoryLog, group: GroupCommit) -> None:
    """It reaches the requests of that batch, and the next one is committed."""
    log.insert_errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await group.commit(intent(1))
    await group.commit(intent(2))


async def test_a_locked_collection_holds_up_no_other(
    log: MemoryLog, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the insert of one waits for its control row, those of others are committed."""
    insert, unlocked = log.insert, asyncio.Event()

    async def locked(intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        if intents[0].generation == 1:
            await unlocked.wait()
        return await insert(intents, owner=owner)

    monkeypatch.setattr(log, "insert", locked)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(group.commit(intent(1, generation=1)))
        assert await group.commit(intent(2, generation=2)) is Stored.LEDGER
        assert await group.commit(intent(3, generation=2)) is Stored.LEDGER
        assert not waiting.done()
        unlocked.set()
    assert len(log.rows) == 3


async def test_an_insert_is_about_one_collection(log: MemoryLog, group: GroupCommit) -> None:
    """What is committed at the same time for two collections shares no statement."""
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(group.commit(intent(number, generation=number % 2)))
        await until(lambda: len(log.batches) == 2)
        log.gate.set()
    assert log.batches == [2, 2]


async def test_a_bounded_number_of_inserts_is_under_way(
    log: MemoryLog, counted: ProxyMetrics
) -> None:
    """Many collections take turns, so that something of the pool is left for heartbeats."""
    group = GroupCommit(log, uuid4(), counted, at_once=2)
    log.gate.clear()
    async with running(group.run()), asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(group.commit(intent(number, generation=number)))
        await until(lambda: len(log.batches) == 2)
        await asyncio.sleep(0.01)
        assert len(log.batches) == 2
        log.gate.set()
    assert len(log.rows) == 5


async def test_a_commit_is_bounded_by_ids(
    log: MemoryLog, group: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large writes do not add up to a request that a store refuses for its size; one that is too large goes alone."""
    monkeypatch.setattr(commits, "_MOST_IDS_PER_COMMIT", 4)
    log.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(group.commit(intent(0)))
        await until(lambda: log.batches)
        for ids in ([1, 2], [3, 4], [5, 6, 7, 8, 9], [10]):
            tasks.create_task(group.commit(intent(*ids)))
        await asyncio.sleep(0)
        log.gate.set()
    assert log.batches == [1, 2, 1, 1]


class Hints:
    """A ``HintPath`` that takes what it is told to."""

    def __init__(self) -> None:
        self.taken: list[UUID] = []
        self.batches = 0
        self.refuses = False
        self.error: Exception | None = None

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        self.batches += 1
        if self.error is not None:
            raise self.error
        taken = set() if self.refuses else {each.id for each in intents}
        self.taken += taken
        return taken


def _proves_port(hints: Hints) -> HintPath:
    return hints


@pytest.fixture
def hints() -> Hints:
    """The other place for intents."""
    return Hints()


@pytest.fixture
async def hinting(
    log: MemoryLog, counted: ProxyMetrics, hints: Hints, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GroupCommit]:
    """A group commit at work, whose intents become hints after 20 ms; the pause ends when a test says so."""
    monkeypatch.setattr(commits, "_PAUSE_SECONDS", 3600)
    group = GroupCommit(log, uuid4(), counted, hints=hints, seconds=0.02)
    async with running(group.run()):
        yield group


async def test_what_postgres_refuses_becomes_a_hint(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """The client does not notice, and the caller is told where the intent is."""
    log.insert_errors = [TargetUnavailable("is away")]
    wanted = intent(1)
    assert await hinting.commit(wanted) is Stored.HINT
    assert hints.taken == [wanted.id]
    assert await hinting.commit(intent(2)) is Stored.LEDGER


async def test_what_postgres_takes_too_long_for_becomes_a_hint(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """After its budget; what Postgres stores late is there as well, under the same id."""
    log.gate.clear()
    wanted = intent(1)
    began = time.monotonic()
    assert await hinting.commit(wanted) is Stored.HINT
    assert time.monotonic() - began >= 0.02
    log.gate.set()
    await until(lambda: log.rows)
    assert list(log.rows) == hints.taken == [wanted.id]


async def test_a_refused_hint_is_a_stale_epoch(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """The record in the source says that the stage changes: nothing may be written."""
    log.insert_errors = [TargetUnavailable("is away")]
    hints.refuses = True
    with pytest.raises(StaleEpoch):
        await hinting.commit(intent(1))


async def test_without_both_stores_the_write_is_refused(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """What the second one says is the answer."""
    log.insert_errors = [TargetUnavailable("is away")]
    hints.error = SourceUnavailable("is away, too")
    with pytest.raises(SourceUnavailable):
        await hinting.commit(intent(1))


async def test_a_stale_epoch_is_an_answer_of_postgres(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """It is no reason for a hint, nor for not asking again."""
    for _ in range(4):
        stale = intent(1)
        log.stale.add(stale.id)
        with pytest.raises(StaleEpoch):
            await hinting.commit(stale)
    assert not hints.batches
    assert await hinting.commit(intent(2)) is Stored.LEDGER


async def test_after_failures_in_a_row_postgres_is_not_asked(
    log: MemoryLog, hinting: GroupCommit, hints: Hints, counted: ProxyMetrics
) -> None:
    """Writes go to hints without waiting; after a pause one batch finds out, and all go back."""
    log.gate.clear()
    for number in range(3):
        assert await hinting.commit(intent(number)) is Stored.HINT
    assert counted.intent_circuit.labels(Circuit.OPEN)._value.get() == 1
    assert counted.intent_circuit.labels(Circuit.CLOSED)._value.get() == 0
    log.gate.set()
    await until(lambda: len(log.rows) == 3)
    log.batches.clear()
    assert await hinting.commit(intent(4)) is Stored.HINT
    assert not log.batches
    hinting._breaker._asks_from = 0
    assert await hinting.commit(intent(5)) is Stored.LEDGER
    assert counted.intent_circuit.labels(Circuit.CLOSED)._value.get() == 1


async def test_what_is_owed_is_not_asked_of_a_postgres_that_takes_no_intents(
    log: MemoryLog, hinting: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who answers a filter in ramp waits for a bounded time, and not at all once the circuit is open."""
    asked: list[int] = []

    async def hang(generation: int) -> None:
        asked.append(generation)
        await asyncio.Event().wait()

    monkeypatch.setattr(log, "owe", hang)
    with pytest.raises(TargetUnavailable, match="within"):
        await hinting.owe(7, seconds=0.01)
    log.gate.clear()
    for number in range(3):
        assert await hinting.commit(intent(number)) is Stored.HINT
    with pytest.raises(TargetUnavailable, match="last intents"):
        await hinting.owe(8, seconds=60)
    assert asked == [7]


async def test_a_stage_change_is_not_a_failure_of_postgres(
    log: MemoryLog, hinting: GroupCommit, hints: Hints
) -> None:
    """An insert that waits for the row of a frozen collection leaves the circuit closed."""
    hints.refuses = True
    for number in range(4):
        log.gate.clear()
        with pytest.raises(StaleEpoch):
            await hinting.commit(intent(number))
        log.gate.set()
        await asyncio.sleep(0)
    assert await hinting.commit(intent(9)) is Stored.LEDGER


async def test_a_hung_insert_keeps_its_slot(
    log: MemoryLog, counted: ProxyMetrics, hints: Hints
) -> None:
    """Inserts do not pile up behind one that hangs; without a slot an intent becomes a hint in the same time."""
    group = GroupCommit(log, uuid4(), counted, hints=hints, seconds=0.02, at_once=1)
    log.gate.clear()
    async with running(group.run()):
        assert await group.commit(intent(1)) is Stored.HINT
        assert await group.commit(intent(2, generation=2)) is Stored.HINT
        assert log.batches == [1]
        log.gate.set()
        await until(lambda: log.rows)
        assert await group.commit(intent(3)) is Stored.LEDGER


async def test_a_stall_of_our_own_is_not_a_slow_postgres(
    database: Database, counted: ProxyMetrics, hints: Hints
) -> None:
    """An answer that lay in the socket while our loop stood still was in time."""
    control = PostgresControl(database)
    state, owner = await staged(control, Stage.DUALWRITE), await registered(control)
    log = PostgresIntents(database)
    await log.insert([intent_of(state, 1)], owner=owner)  # the statement is prepared
    group = GroupCommit(log, owner, counted, hints=hints, seconds=0.02)
    async with running(group.run()), asyncio.TaskGroup() as tasks:
        committing = tasks.create_task(group.commit(intent_of(state, 2)))
        for _ in range(10):
            await asyncio.sleep(0)  # the statement is on its way after a few turns
        time.sleep(0.3)  # noqa: ASYNC251 - this is the stall
    assert committing.result() is Stored.LEDGER
    assert not hints.batches
