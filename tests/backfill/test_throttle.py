"""The throttle in time: a clock that stands still until somebody sleeps."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from backfill.jobs import Options, Orders
from backfill.metrics import ThrottleMetrics
from backfill.pressure import Limits, ServerReading
from backfill.throttle import Throttle
from service.errors import TargetUnavailable

LIMITS = Limits(target_ms=250, lag_seconds=10, wal_mb_per_second=100)
FREE = Orders(Options())


@dataclass
class _Rig:
    """A throttle with its clock, its server and what its notes said."""

    now: float = 1000.0
    reads: int = 0
    reading: Callable[[float], ServerReading | None] = ServerReading
    notes: list[str | None] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.throttle = Throttle(
            self, LIMITS, ThrottleMetrics(self.registry), clock=lambda: self.now, sleep=self._sleep
        )

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def note(self, text: str | None) -> None:
        self.notes.append(text)

    async def read(self) -> ServerReading:
        self.reads += 1
        found = self.reading(self.now)
        if found is None:
            raise TargetUnavailable("is away")
        return found

    async def page(
        self, *, points: int = 100, target: float = 0.1, source: float = 0.1, orders: Orders = FREE
    ) -> float:
        """Make a page and return how long it then waited."""
        self.now += target + source
        before = self.now
        await self.throttle.after_page(
            points=points,
            target_seconds=target,
            source_seconds=source,
            orders=orders,
            note=self.note,
        )
        return self.now - before

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


async def test_one_slow_page_changes_nothing_and_many_do() -> None:
    """A checkpoint's hiccup is no reason; three of five are."""
    rig = _Rig()
    for target in (0.1, 0.1, 3.0, 0.1, 0.1, 2.0, 0.1):
        assert await rig.page(target=target) == 0.0
    assert rig.notes == [None] * 7
    assert await rig.page(target=0.4) == 0.0
    waited = await rig.page(target=0.4)
    assert waited == pytest.approx(0.5)
    assert rig.notes[-2:] == ["target latency 400 ms > 250 ms", None]
    assert rig.sample("vecferry_throttle_seconds_total", reason="target_latency") == waited


async def test_the_first_pages_say_nothing() -> None:
    """A cold cache makes the first two slow."""
    rig = _Rig()
    assert [await rig.page(target=3.0) for _ in range(2)] == [0.0, 0.0]
    assert rig.notes == [None, None]


async def test_a_stop_ends_when_the_reading_is_good_again() -> None:
    """Looked at every second meanwhile; afterwards it comes back in steps."""
    rig = _Rig()
    rig.reading = lambda now: ServerReading(now, lag_seconds=30.0 if now < 1060 else 0.5)
    await rig.page()
    assert 1060 <= rig.now < 1062 + 30
    assert rig.notes[0] == "replication lag 30 s > 10 s"
    assert 50 < rig.reads < 80
    assert rig.throttle.to_json()["share"] != 1.0
    for _ in range(200):
        await rig.page()
    assert rig.throttle.to_json()["share"] == 1.0
    assert await rig.page() == 0.0
    history = [change.text for change in rig.throttle.history]
    assert history[0] == "replication lag 30 s > 10 s"
    assert len(history) < 12
    assert rig.sample("vecferry_throttle_share") == 1.0


async def test_the_share_comes_back_while_nobody_makes_pages() -> None:
    """Half an hour later the full share is shown, and the next job begins with it; a minute changes nothing."""
    rig = _Rig()
    for _ in range(30):
        await rig.page(target=0.4)
    low = rig.sample("vecferry_throttle_share")
    assert low is not None
    assert low < 0.2
    rig.now += 59
    assert rig.sample("vecferry_throttle_share") == low
    rig.now += 5
    assert rig.sample("vecferry_throttle_share") == pytest.approx(low + 0.2)
    rig.now += 1800
    assert rig.throttle.to_json()["share"] == rig.sample("vecferry_throttle_share") == 1.0
    assert [await rig.page() for _ in range(5)][2:] == [0.0, 0.0, 0.0]
    assert rig.throttle.history[-1].share == 1.0


async def test_a_stop_is_shown_no_longer_than_somebody_waits_for_it() -> None:
    """The job was cancelled in the stop: nothing will look at the server again, and nothing is stopped."""
    rig = _Rig()

    def reading(now: float) -> ServerReading:
        if now > 1010:
            raise asyncio.CancelledError
        return ServerReading(now, lag_seconds=30.0)

    rig.reading = reading
    with pytest.raises(asyncio.CancelledError):
        await rig.page()
    assert rig.sample("vecferry_throttle_share") == 0.0
    rig.now += 120
    assert rig.throttle.to_json()["share"] == 1.0


async def test_the_servers_readings_are_rare_and_their_loss_is_slow() -> None:
    """Once a second however many pages; without them a quarter of the pace."""
    rig = _Rig()
    rig.reading = ServerReading
    for _ in range(50):
        await rig.page(target=0.01, source=0.01)
    assert rig.reads == 1
    rig.reading = lambda _: None
    rig.now += 10
    waited = await rig.page(target=0.01, source=0.01)
    assert waited == pytest.approx(0.06)
    assert rig.notes[-2] is not None
    assert "s old: going slowly" in rig.notes[-2]
    assert rig.sample("vecferry_throttle_reason", reason="readings_unknown") == 1.0


async def test_what_may_not_be_read_is_said_where_it_waits() -> None:
    """It is no error and no reason by itself."""
    rig = _Rig()
    rig.reading = lambda now: ServerReading(now, unreadable=("replication lag",))
    assert await rig.page() == 0.0
    for _ in range(3):
        await rig.page(target=0.4)
    assert rig.notes[-2] == "target latency 400 ms > 250 ms (not readable: replication lag)"
    assert rig.throttle.to_json()["unreadable"] == ["replication lag"]


async def test_the_rate_of_wal_is_made_of_two_looks() -> None:
    """A server that was replaced in between has no rate."""
    rig = _Rig()
    written = {"bytes": 1e9}
    rig.reading = lambda now: ServerReading(now, wal_bytes=written["bytes"])
    await rig.page()
    rig.now += 1.0
    written["bytes"] += 150e6 * 1.2
    await rig.page()
    assert rig.notes[-2] is not None
    assert rig.notes[-2].startswith("WAL 150 MB/s > 100 MB/s")
    rig.now += 1.0
    written["bytes"] = 5.0
    await rig.page()
    assert not (rig.notes[-2] or "").startswith("WAL")


@pytest.mark.parametrize("ranges", [1, 3])
async def test_ranges_share_the_operators_rate(ranges: int) -> None:
    """Each paces itself by its own last release, so all of them keep the rate and use it."""
    rig = _Rig()
    orders = Orders(Options(points_per_second=100.0), workers=ranges)
    began = rig.now

    async def work() -> None:
        for _ in range(5):
            await rig.throttle.after_page(
                points=100,
                target_seconds=0.0,
                source_seconds=0.0,
                orders=orders,
                note=rig.note,
            )

    if ranges == 1:
        await work()
        assert rig.now - began == pytest.approx(5.0)
        assert rig.notes[0] == "limited to 100 points/s"
        assert not rig.throttle.history
        return
    async with asyncio.TaskGroup() as tasks:
        for _ in range(ranges):
            tasks.create_task(work())
    # The stand-in for time runs for each sleeper: at least what one range has to wait has passed.
    assert rig.now - began >= 5 * ranges - 1e-6


async def test_a_page_that_took_long_owes_nothing() -> None:
    """What a range spent on its page counts into its rate."""
    rig = _Rig()
    orders = Orders(Options(points_per_second=100.0))
    assert await rig.page(points=100, target=0.1, source=0.1, orders=orders) == pytest.approx(0.9)
    assert await rig.page(points=100, target=0.1, source=0.1, orders=orders) == pytest.approx(0.8)
    assert await rig.page(points=100, target=0.1, source=2.0, orders=orders) == 0.0


async def test_a_cancelled_wait_leaves_no_note() -> None:
    """The worker cancels it when its orders change."""
    rig = _Rig()
    rig.reading = lambda now: ServerReading(now, lag_seconds=99.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await rig.page()
    assert rig.notes[-1] is None
