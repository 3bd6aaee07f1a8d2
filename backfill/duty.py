"""How long to wait after a page. Pure: what is known goes in, the pause and its reasons come out.

The *duty* is the share of the time in which a range works; the rest it waits. It is halved while a reading is above its
limit and comes back in steps when none is (additive increase, multiplicative decrease), both at most once in a while,
so that the effect of a step is seen before the next. The steps back are far between while a reading is near its limit:
that may be its ordinary level. At twice a limit nothing is started until the reading is below the limit itself. The
operator's points per second hold beside all that.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backfill.pressure import Limits, Pressure, Readings, Reason, pressures

STOP_RATIO = 2.0
CALM_RATIO = 0.8
"""From here to 1 the duty comes back slowly."""
LEAST_SHARE = 1 / 32
SLOW_SHARE = 0.25
"""While the target cannot be read."""
LOWER_SECONDS = 3.0
RAISE_SECONDS = 2.0
RAISE_NEAR_SECONDS = 15.0
"""Where a reading is near its limit."""
RAISE_STEP = 0.1
LONGEST_PAUSE_SECONDS = 30.0
"""Of the duty: a page can take minutes, and so late an answer to a calm server helps nobody."""


@dataclass(frozen=True, slots=True)
class Duty:
    """The share, when it was last changed (monotonic seconds), and what stopped everything."""

    share: float = 1.0
    lowered_at: float = -math.inf
    raised_at: float = -math.inf
    stopped: frozenset[Reason] = frozenset()
    because: Reason | None = None
    """What lowered it last."""


@dataclass(frozen=True, slots=True)
class PageDone:
    """A page that was worked on.

    ``busy_seconds`` is what it took; ``since_seconds`` how long ago the range's last pause ended. ``workers`` share
    ``points_per_second``.
    """

    points: int
    busy_seconds: float
    since_seconds: float
    points_per_second: float = 0.0
    """0 is no limit."""
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """How long a range has to wait since its page ended (``inf``: until something changes), and why.

    ``reasons`` are those that hold it up, the main one first; ``text`` says them, ``None`` when there is no pause.
    """

    pause_seconds: float
    reasons: tuple[Reason, ...]
    text: str | None
    duty: Duty


def decide(
    readings: Readings, limits: Limits, duty: Duty, page: PageDone, *, now: float
) -> Decision:
    """Return the pause after a page; ``now`` is this process's monotonic clock."""
    found = pressures(readings, limits)
    after = _next(found, duty, now)
    is_unknown = any(each.reason is Reason.UNKNOWN for each in found)
    of_limit, of_duty = _limit_pause(page), _duty_pause(page, after, is_unknown=is_unknown)
    if max(of_limit, of_duty) <= 0:
        return Decision(0.0, (), None, after)
    said: list[tuple[Reason, str]] = []
    if of_duty > 0:
        said += _said(found, after)
    if of_limit > 0:
        entry = (Reason.LIMIT, f"limited to {page.points_per_second:g} points/s")
        said.insert(0 if of_limit >= of_duty else len(said), entry)
    reasons = tuple(reason for reason, _ in said)
    return Decision(max(of_limit, of_duty), reasons, "; ".join(text for _, text in said), after)


def rested(duty: Duty, idle_seconds: float) -> Duty:
    """Return the duty of a process that has made no page for so long: it comes back as if all readings were good."""
    if idle_seconds <= 0:
        return duty
    share = min(duty.share + idle_seconds // RAISE_SECONDS * RAISE_STEP, 1.0)
    return replace(duty, share=share, stopped=frozenset())


def _next(found: Sequence[Pressure], duty: Duty, now: float) -> Duty:
    worst = found[0] if found else None
    stopped = frozenset(
        each.reason
        for each in found
        if each.ratio >= STOP_RATIO or (each.ratio >= 1 and each.reason in duty.stopped)
    )
    duty = replace(duty, stopped=stopped)
    if worst is not None and worst.ratio > 1:
        if now - duty.lowered_at < LOWER_SECONDS:
            return duty
        share = max(duty.share / 2, LEAST_SHARE)
        return replace(duty, share=share, lowered_at=now, because=worst.reason)
    is_known = all(each.reason is not Reason.UNKNOWN for each in found)
    if duty.share >= 1 or not is_known:
        return duty
    is_calm = worst is None or worst.ratio <= CALM_RATIO
    pause = RAISE_SECONDS if is_calm else RAISE_NEAR_SECONDS
    if now - max(duty.lowered_at, duty.raised_at) < pause:
        return duty
    return replace(duty, share=min(duty.share + RAISE_STEP, 1.0), raised_at=now)


def _duty_pause(page: PageDone, duty: Duty, *, is_unknown: bool) -> float:
    if duty.stopped:
        return math.inf
    share = min(duty.share, SLOW_SHARE) if is_unknown else duty.share
    return min(page.busy_seconds * (1 / share - 1), LONGEST_PAUSE_SECONDS)


def _limit_pause(page: PageDone) -> float:
    """Return what the page's range still owes: its part of the rate allows so many points in so much time."""
    if not page.points_per_second:
        return 0.0
    return page.points * page.workers / page.points_per_second - page.since_seconds


def _said(found: Sequence[Pressure], duty: Duty) -> list[tuple[Reason, str]]:
    pressing = [
        (each.reason, each.text)
        for each in found
        if each.ratio > 1 or each.reason is Reason.UNKNOWN or each.reason in duty.stopped
    ]
    if pressing or duty.because is None:
        return pressing
    return [
        (duty.because, f"coming back after {duty.because.replace('_', ' ')}, at {duty.share:.0%}")
    ]
