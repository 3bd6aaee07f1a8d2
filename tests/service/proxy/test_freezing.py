"""Writes that meet a stage change."""

import asyncio
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from service.control.plane import ControlPlane
from service.errors import Overloaded, Refusal
from service.metrics import ProxyMetrics
from service.proxy.freezing import FreezeQueue
from service.stores.postgres.control import PostgresControl
from tests.service.running import until

HELD = "vecferry_held_writes"


def _queue(plane: ControlPlane, metrics: ProxyMetrics, *, seconds: float = 5.0) -> FreezeQueue:
    return FreezeQueue(plane, metrics, limit=2, seconds=seconds)


async def _freeze(plane: ControlPlane, control: PostgresControl) -> None:
    await control.freeze(plane.view.state("c"), uuid4(), 60.0)
    await plane.refresh()


async def test_without_a_freeze_nothing_waits(plane: ControlPlane, metrics: ProxyMetrics) -> None:
    """A write passes at once."""
    async with asyncio.timeout(0.1):
        await _queue(plane, metrics, seconds=0.05).pass_through("c")


@pytest.mark.parametrize("name", ["c", "alias"])
async def test_a_write_waits_for_the_end_of_the_freeze(
    name: str, plane: ControlPlane, control: PostgresControl, registry: CollectorRegistry,
    metrics: ProxyMetrics,
) -> None:  # fmt: skip
    """Under the collection's name or an alias it is held, seen as held, and let go when the stage is there."""
    queue, token = _queue(plane, metrics), uuid4()
    await control.freeze(plane.view.state("c"), token, 60.0)
    await plane.refresh()
    async with asyncio.TaskGroup() as tasks:
        write = tasks.create_task(queue.pass_through(name))
        await until(lambda: registry.get_sample_value(HELD) == 1)
        assert not write.done()
        await queue.pass_through("another")
        await control.thaw("c", token)
        await plane.refresh()
    assert registry.get_sample_value(HELD) == 0


async def test_the_queue_is_bounded(
    plane: ControlPlane, control: PostgresControl, registry: CollectorRegistry,
    metrics: ProxyMetrics,
) -> None:  # fmt: skip
    """One more than may wait is refused at once, with its reason; a place that was left is free again."""
    queue = _queue(plane, metrics)
    await _freeze(plane, control)
    async with asyncio.TaskGroup() as tasks:
        held = [tasks.create_task(queue.pass_through("c")) for _ in range(2)]
        await until(lambda: registry.get_sample_value(HELD) == 2)
        with pytest.raises(Overloaded, match="too many writes wait") as raised:
            await queue.pass_through("c")
        assert raised.value.refusal is Refusal.FREEZE_QUEUE
        held[0].cancel()
        await until(lambda: registry.get_sample_value(HELD) == 1)
        held[1].cancel()
    assert registry.get_sample_value(HELD) == 0


async def test_nobody_waits_beyond_the_deadline(
    plane: ControlPlane, control: PostgresControl, registry: CollectorRegistry,
    metrics: ProxyMetrics,
) -> None:  # fmt: skip
    """After its seconds a held write is refused, with that reason, and gives its place back."""
    queue = _queue(plane, metrics, seconds=0.05)
    await _freeze(plane, control)
    with pytest.raises(Overloaded, match="changing its stage") as raised:
        await queue.pass_through("c")
    assert raised.value.refusal is Refusal.FREEZE_DEADLINE
    assert registry.get_sample_value(HELD) == 0
