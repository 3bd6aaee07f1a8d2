"""Has the ranges of a process wait after their pages, so that production does not feel the jobs.

One throttle per process, shared by its ranges. It looks at the target's server itself, at most once a second and only
while pages are made. What it decides is in :mod:`backfill.duty`.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from statistics import median
from weakref import WeakKeyDictionary

import structlog

from backfill.duty import Decision, Duty, PageDone, decide, rested
from backfill.jobs import Orders
from backfill.metrics import ThrottleMetrics
from backfill.pressure import Latency, Limits, PressureGauge, Readings, Reason, ServerReading
from backfill.queue import Note
from service.errors import VecferryError
from service.model.moments import as_text

_log = structlog.get_logger(__name__)

_READ_EVERY_SECONDS = 1.0
_READ_LIMIT_SECONDS = 2.0
_SLICE_SECONDS = 1.0
_TICK_SECONDS = 1e-6
"""Less is rounding."""
_PAGES = 5
"""Their median counts: one slow page, or two, change nothing."""
_LEAST_PAGES = 3
_CHANGES_KEPT = 500
_FORGET_SECONDS = 60.0
"""A decision that is older is shown no more, and the share recovers: nobody makes pages."""

Sleep = Callable[[float], Awaitable[None]]


class _PageTimes:
    """What the last pages took on one side."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_PAGES)
        self._at = -math.inf

    def add(self, seconds: float, now: float) -> None:
        self._seconds.append(seconds)
        self._at = now

    def latency(self, now: float) -> Latency | None:
        if len(self._seconds) < _LEAST_PAGES:
            return None
        return Latency(median(self._seconds), now - self._at)


@dataclass(frozen=True, slots=True)
class Change:
    """The reasons became others, or the share fell, or was whole again. ``at`` is for people."""

    at: datetime
    share: float
    is_stopped: bool
    text: str | None

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "at": as_text(self.at),
            "share": 0.0 if self.is_stopped else round(self.share, 3),
            "reason": self.text,
        }


class Throttle:
    """Waits after pages, and keeps the history of why."""

    def __init__(
        self,
        gauge: PressureGauge,
        limits: Limits,
        metrics: ThrottleMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._gauge = gauge
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._target, self._source = _PageTimes(), _PageTimes()
        self._server: ServerReading | None = None
        self._wal_rate: float | None = None
        self._read_at = -math.inf
        self._tried_at = -math.inf
        self._is_reading = False
        self._last: tuple[float, Decision] | None = None
        self._said: frozenset[Reason] = frozenset()
        self._released: WeakKeyDictionary[asyncio.Task[object], float] = WeakKeyDictionary()
        """When the last pause of a range ended; a range is worked on by one task."""
        self.history: deque[Change] = deque(maxlen=_CHANGES_KEPT)
        for reason in Reason:
            metrics.reason.labels(reason).set_function(partial(self._holds_up, reason))
        metrics.share.set_function(lambda: self._share)

    async def after_page(
        self,
        *,
        points: int,
        target_seconds: float,
        source_seconds: float,
        orders: Orders,
        note: Note,
    ) -> None:
        """Wait as long as this moment asks for; the note says why, and is ``None`` afterwards.

        Call it from the range's task after every page, with what the page took on either side. It may be cancelled at
        any time.
        """
        ended = self._clock()
        self._forget(ended - target_seconds - source_seconds)
        self._target.add(target_seconds, ended)
        self._source.add(source_seconds, ended)
        page = PageDone(
            points=points,
            busy_seconds=target_seconds + source_seconds,
            since_seconds=self._since_release(ended, max(target_seconds, source_seconds)),
            points_per_second=orders.options.points_per_second or 0.0,
            workers=max(1, orders.workers),
        )
        try:
            await self._wait(page, ended, note)
        finally:
            note(None)
            if (task := asyncio.current_task()) is not None:
                self._released[task] = self._clock()

    def _forget(self, began: float) -> None:
        """Begin anew with a page that comes after a long time without one; ``began`` is when it was asked for."""
        if self._last is None or began - self._last[0] < _FORGET_SECONDS:
            return
        self._target, self._source = _PageTimes(), _PageTimes()
        self._last = began, replace(self._last[1], duty=self._duty_at(began))

    def _since_release(self, now: float, at_least: float) -> float:
        """Return how long ago the range was let go; of a range that is new, what its page took for certain."""
        task = asyncio.current_task()
        released = None if task is None else self._released.get(task)
        return at_least if released is None else now - released

    async def _wait(self, page: PageDone, ended: float, note: Note) -> None:
        while True:
            await self._look()
            now = self._clock()
            decision = decide(self._readings(now), self._limits, self._duty, page, now=now)
            self._keep(decision, now)
            left = decision.pause_seconds - (now - ended)
            if left <= _TICK_SECONDS:
                return
            note(self._text(decision))
            await self._sleep(min(left, _SLICE_SECONDS))
            if decision.reasons:
                waited = self._clock() - now
                self._metrics.seconds.labels(decision.reasons[0]).inc(waited)

    async def _look(self) -> None:
        """Read the server if nobody does and the last look is a second old; failing is not knowing."""
        now = self._clock()
        if self._is_reading or now - self._tried_at < _READ_EVERY_SECONDS:
            return
        self._is_reading, self._tried_at = True, now
        try:
            async with asyncio.timeout(_READ_LIMIT_SECONDS):
                reading = await self._gauge.read()
        except (VecferryError, TimeoutError) as error:
            _log.debug("pressure_unreadable", error=str(error) or "no answer in time")
            return
        finally:
            self._is_reading = False
        self._wal_rate = _wal_rate(self._server, reading)
        self._server, self._read_at = reading, self._clock()

    def _readings(self, now: float) -> Readings:
        return Readings(
            target=self._target.latency(now),
            source=self._source.latency(now),
            server=self._server,
            server_age_seconds=now - self._read_at,
            wal_bytes_per_second=self._wal_rate,
        )

    @property
    def _duty(self) -> Duty:
        return Duty() if self._last is None else self._last[1].duty

    def _duty_at(self, moment: float) -> Duty:
        """Return the duty as it will be, or was, if no page is made until then."""
        at = moment if self._last is None else self._last[0]
        return rested(self._duty, moment - at - _FORGET_SECONDS)

    def _keep(self, decision: Decision, now: float) -> None:
        before, after = self._duty, decision.duty
        self._last = now, decision
        # The operator knows his own limit.
        reasons = frozenset(decision.reasons) - {Reason.LIMIT}
        is_whole_again = after.share >= 1 > before.share
        if reasons == self._said and after.share >= before.share and not is_whole_again:
            return
        self._said = reasons
        change = Change(datetime.now(UTC), after.share, bool(after.stopped), decision.text)
        self.history.append(change)
        _log.info("throttle_changed", **change.to_json())

    def _text(self, decision: Decision) -> str | None:
        unreadable = () if self._server is None else self._server.unreadable
        if decision.text is None or not unreadable:
            return decision.text
        return f"{decision.text} (not readable: {', '.join(unreadable)})"

    @property
    def _share(self) -> float:
        duty = self._duty_at(self._clock())
        return 0.0 if duty.stopped else duty.share

    def _holds_up(self, reason: Reason) -> bool:
        if self._last is None:
            return False
        at, decision = self._last
        return self._clock() - at < _FORGET_SECONDS and reason in decision.reasons

    def to_json(self) -> dict[str, object]:
        """Return the share, the reasons now, what cannot be read and the history, oldest first."""
        now = self._clock()
        is_fresh = self._last is not None and now - self._last[0] < _FORGET_SECONDS
        return {
            "share": self._share,
            "reason": self._last[1].text if is_fresh and self._last is not None else None,
            "unreadable": [] if self._server is None else list(self._server.unreadable),
            "history": [change.to_json() for change in self.history],
        }


def _wal_rate(before: ServerReading | None, after: ServerReading) -> float | None:
    """Return bytes per second between two looks; none where one did not see it, or the server was replaced."""
    if before is None or before.wal_bytes is None or after.wal_bytes is None:
        return None
    seconds, written = after.at - before.at, after.wal_bytes - before.wal_bytes
    return written / seconds if seconds > 0 and written >= 0 else None
