"""Leases, bells, and two things at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from backfill.bell import Bell
from backfill.claiming import claim_and_hold
from backfill.holding import while_renewed
from backfill.timing import Timing
from backfill.together import together
from service.errors import SourceUnavailable, StaleEpoch, TargetUnavailable


async def never() -> None:
    """Work for ever."""
    await asyncio.Event().wait()


def answers(*given: bool | Exception) -> Callable[[], Awaitable[bool]]:
    """Return a renewal with these answers, in order; the last one for ever."""
    left = list(given)

    async def renew() -> bool:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return renew


async def test_the_work_ends_first() -> None:
    """Its result, or its error, is what counts; heartbeats that fail meanwhile do not."""

    async def work() -> int:
        await asyncio.sleep(0.05)
        return 7

    async def broken() -> int:
        await asyncio.sleep(0.02)
        raise SourceUnavailable("is down")

    renew = answers(TargetUnavailable("is down"), True)
    assert await while_renewed(work(), renew, seconds=0.01) == 7
    with pytest.raises(SourceUnavailable):
        await while_renewed(broken(), answers(True), seconds=0.01)


async def test_new_orders_end_the_work() -> None:
    """Quietly."""

    async def work() -> int:
        await never()
        return 7

    assert await while_renewed(work(), answers(True, False), seconds=0.01) is None


async def test_a_lost_lease_ends_the_work() -> None:
    """Loudly: somebody else has it."""
    with pytest.raises(StaleEpoch):
        await while_renewed(never(), answers(True, StaleEpoch()), seconds=0.01)


@pytest.mark.parametrize("turns", range(8))
async def test_a_cancellation_is_never_lost(turns: int) -> None:
    """Also when the work, or one of two, fails at that very moment."""

    async def fails() -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        raise SourceUnavailable("is down")

    async def work() -> None:
        while True:
            try:
                await while_renewed(_both(), answers(True), seconds=1)
            except SourceUnavailable:
                continue

    async def _both() -> None:
        await together(fails(), never())

    async with asyncio.timeout(5), asyncio.TaskGroup() as owner:
        task = owner.create_task(work())
        for _ in range(10 + turns):
            await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_together_ends_the_other_one() -> None:
    """And raises the first error by itself, with its cause."""
    ended = asyncio.Event()

    async def long() -> None:
        try:
            await never()
        finally:
            ended.set()

    async def fails() -> None:
        raise SourceUnavailable("is down") from OSError("reset")

    with pytest.raises(SourceUnavailable) as caught:
        await together(long(), fails())
    assert ended.is_set()
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_bell_that_rings_while_one_looks_is_heard() -> None:
    """Nothing is missed between the look at the queue and the waiting."""
    bell = Bell()
    heard = bell.times
    bell.ring()
    assert await bell.wait(heard, 60)
    assert not await bell.wait(bell.times, 0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as owner:
        waiting = [owner.create_task(bell.wait(bell.times, 60)) for _ in range(3)]
        await asyncio.sleep(0)
        bell.ring()
    assert [each.result() for each in waiting] == [True] * 3


async def test_claims_are_held_side_by_side_and_the_queue_is_left_alone_when_empty() -> None:
    """As many at once as there is room for; an empty queue is looked at after growing pauses, or when a bell rings."""
    queue, bell = list(range(5)), Bell()
    held: list[int] = []
    most, looks = 0, 0

    async def claim() -> int | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise TargetUnavailable("is down")
        return queue.pop() if queue else None

    async def hold(item: int) -> None:
        nonlocal most
        held.append(item)
        most = max(most, len(held))
        await asyncio.sleep(0.01)
        held.remove(item)

    timing = Timing(first_idle=0.2, longest_idle=30.0)
    async with asyncio.TaskGroup() as owner:
        run = owner.create_task(claim_and_hold(claim, hold, most=2, bell=bell, timing=timing))
        await asyncio.sleep(0.5)
        assert (queue, held, most) == ([], [], 2)
        seen = looks
        queue.append(9)
        bell.ring()
        await asyncio.sleep(0.1)
        assert queue == []
        assert looks <= seen + 4
        run.cancel()
