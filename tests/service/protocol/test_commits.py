"""Group commit: who shares an insert, and who pays for a failure."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from service.errors import Overloaded, StaleEpoch, TargetUnavailable
from service.metrics import ProxyMetrics
from service.protocol import commits
from service.protocol.commits import GroupCommit
from tests.service.protocol.fakes import MemoryLog, intent
from tests.service.running import running, until


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
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), StaleEpoch]
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
        await group.commit(intent(2))


async def test_an_unforeseen_failure_is_the_batchs_own(log: MemoryLog, group: GroupCommit) -> None:
    """It reaches the requests of that batch, and the next one is committed."""
    log.insert_errors = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await group.commit(intent(1))
    await group.commit(intent(2))
