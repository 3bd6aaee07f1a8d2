"""How long a range waits: the table of reasons, and what holds for any readings."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.duty import (
    LEAST_SHARE,
    LONGEST_PAUSE_SECONDS,
    LOWER_SECONDS,
    RAISE_NEAR_SECONDS,
    RAISE_SECONDS,
    RAISE_STEP,
    SLOW_SHARE,
    Decision,
    Duty,
    PageDone,
    decide,
)
from backfill.pressure import Latency, Limits, Readings, Reason, ServerReading

LIMITS = Limits(
    target_ms=250,
    source_ms=500,
    client_p99_ms=100,
    lag_seconds=10,
    lag_mb=100,
    wal_mb_per_second=50,
    archive_segments=10,
    connections=0.8,
    unsettled=1000,
)
CALM = ServerReading(
    at=0.0,
    lag_seconds=1.0,
    lag_bytes=1e6,
    unarchived_segments=1,
    connections=0.2,
    client_p99_ms=10.0,
    unsettled=3,
)
QUIET = Readings(Latency(0.05, 0.1), Latency(0.05, 0.1), CALM, 0.5, 1e6)
PAGE = PageDone(points=1000, busy_seconds=0.4, since_seconds=0.4)


def _server(**changes: object) -> Readings:
    return replace(QUIET, server=replace(CALM, **changes))  # type: ignore[arg-type]  # the table below knows the fields


def _slow_target(milliseconds: float, *, age: float = 0.1) -> Readings:
    return replace(QUIET, target=Latency(milliseconds / 1000, age))


def _decide(readings: Readings, duty: Duty = Duty(), page: PageDone = PAGE) -> Decision:  # noqa: B008 - frozen
    return decide(readings, LIMITS, duty, page, now=100.0)


def test_nothing_presses_and_nothing_waits() -> None:
    """With every reading well below its limit."""
    found = _decide(QUIET)
    assert (found.pause_seconds, found.reasons, found.text) == (0.0, (), None)


@pytest.mark.parametrize(
    ("readings", "reason", "text"),
    [
        (_slow_target(412), Reason.TARGET, "target latency 412 ms > 250 ms"),
        (
            replace(QUIET, source=Latency(0.75, 0.0)),
            Reason.SOURCE,
            "source latency 750 ms > 500 ms",
        ),
        (_server(client_p99_ms=150.5), Reason.CLIENTS, "clients' p99 150 ms > 100 ms"),
        (_server(lag_seconds=12.34), Reason.LAG_SECONDS, "replication lag 12.3 s > 10 s"),
        (_server(lag_bytes=150e6), Reason.LAG_BYTES, "replication lag 150 MB > 100 MB"),
        (replace(QUIET, wal_bytes_per_second=60e6), Reason.WAL, "WAL 60 MB/s > 50 MB/s"),
        (
            _server(unarchived_segments=12),
            Reason.ARCHIVE,
            "WAL archive behind 12 segments > 10 segments",
        ),
        (_server(connections=0.9), Reason.CONNECTIONS, "connections in use 90 % > 80 %"),
        (
            _server(unsettled=1500),
            Reason.LEDGER,
            "ledger 1500 unsettled intents > 1000 unsettled intents",
        ),
    ],
)
def test_each_reason_halves_the_pace_and_is_named(
    readings: Readings, reason: Reason, text: str
) -> None:
    """Half of the time is worked, half is waited."""
    found = _decide(readings)
    assert found.duty.share == 0.5
    assert found.pause_seconds == pytest.approx(PAGE.busy_seconds)
    assert found.reasons == (reason,)
    assert found.text == text


@pytest.mark.parametrize("reason", [_slow_target(501), _server(lag_seconds=20.0)])
def test_twice_a_limit_stops_everything(reason: Readings) -> None:
    """And below twice it goes on only when it is below the limit itself."""
    stopped = _decide(reason)
    assert stopped.pause_seconds == math.inf
    still = _decide(_server(lag_seconds=15.0), Duty(stopped=frozenset({Reason.LAG_SECONDS})))
    assert still.pause_seconds == math.inf
    again = _decide(QUIET, stopped.duty)
    assert 0 < again.pause_seconds < math.inf


def test_a_stop_by_the_pages_own_latency_ends_with_a_probe() -> None:
    """Without a page nobody learns whether pages are fast again."""
    stopped = _decide(_slow_target(900)).duty
    probe = _decide(_slow_target(900, age=10.5), stopped)
    assert probe.pause_seconds <= LONGEST_PAUSE_SECONDS
    assert probe.duty.share == stopped.share
    assert probe.text is not None


def test_the_effect_of_a_step_is_seen_before_the_next() -> None:
    """Many ranges decide many times a second and still halve once."""
    first = decide(_slow_target(300), LIMITS, Duty(), PAGE, now=100.0).duty
    again = decide(_slow_target(300), LIMITS, first, PAGE, now=100.0 + LOWER_SECONDS - 0.1).duty
    later = decide(_slow_target(300), LIMITS, first, PAGE, now=100.0 + LOWER_SECONDS).duty
    assert (first.share, again.share, later.share) == (0.5, 0.5, 0.25)


@pytest.mark.parametrize("held", [Duty(0.5, lowered_at=100.0), Duty(0.5, raised_at=100.0)])
def test_it_comes_back_in_steps(held: Duty) -> None:
    """Each a while after the last change, whichever way that was."""
    early = decide(QUIET, LIMITS, held, PAGE, now=100.0 + RAISE_SECONDS - 0.1)
    assert early.duty == held
    later = decide(QUIET, LIMITS, held, PAGE, now=100.0 + RAISE_SECONDS)
    assert later.duty.share == pytest.approx(0.5 + RAISE_STEP)


def test_what_lowered_it_is_remembered() -> None:
    """When the reading is good again it still says why it waits."""
    lowered = decide(_slow_target(300), LIMITS, Duty(), PAGE, now=100.0).duty
    found = decide(QUIET, LIMITS, lowered, PAGE, now=100.1)
    assert found.text == "coming back after target latency, at 50%"


def test_no_pause_of_the_duty_is_longer_than_half_a_minute() -> None:
    """However long the page took."""
    page = replace(PAGE, busy_seconds=600.0, since_seconds=600.0)
    found = _decide(_slow_target(240), Duty(share=LEAST_SHARE), page)
    assert found.pause_seconds == LONGEST_PAUSE_SECONDS


def test_near_the_limit_the_pace_comes_back_slowly() -> None:
    """Fast it would swing, up at 99 % of a limit and down at 101 %; never it would stay slow after one bad moment."""
    held = Duty(share=0.5, because=Reason.TARGET, lowered_at=100.0)
    near = _slow_target(240)
    early = decide(near, LIMITS, held, PAGE, now=100.0 + RAISE_NEAR_SECONDS - 0.1)
    assert early.duty.share == 0.5
    assert early.text == "coming back after target latency, at 50%"
    later = decide(near, LIMITS, held, PAGE, now=100.0 + RAISE_NEAR_SECONDS)
    assert later.duty.share == pytest.approx(0.5 + RAISE_STEP)
    unknown = replace(QUIET, server_age_seconds=6.0)
    assert decide(unknown, LIMITS, held, PAGE, now=1_000.0).duty.share == 0.5


@pytest.mark.parametrize("readings", [Readings(), replace(QUIET, server_age_seconds=6.0)])
def test_what_is_not_known_goes_slowly(readings: Readings) -> None:
    """And says so; it is a quarter of the pace, not a stop."""
    found = _decide(readings)
    assert found.pause_seconds == pytest.approx(PAGE.busy_seconds * (1 / SLOW_SHARE - 1))
    assert found.reasons == (Reason.UNKNOWN,)
    assert found.text is not None
    assert "going slowly" in found.text


def test_without_limits_nothing_is_looked_at() -> None:
    """All off: the worst readings change nothing, and neither does not knowing."""
    worst = replace(_server(lag_seconds=1e6, unsettled=10**9), target=Latency(1e3, 0.0))
    for readings in (worst, Readings()):
        assert decide(readings, Limits(), Duty(), PAGE, now=0.0).pause_seconds == 0.0


def test_the_operators_limit_is_shared_by_the_workers() -> None:
    """1,000 points of 500 a second that four workers share take eight seconds."""
    page = replace(PAGE, points_per_second=500.0, workers=4)
    found = _decide(QUIET, page=page)
    assert found.pause_seconds == pytest.approx(8.0 - page.since_seconds)
    assert found.reasons == (Reason.LIMIT,)
    assert found.text == "limited to 500 points/s"


_latency = st.one_of(
    st.none(),
    st.builds(Latency, st.floats(0, 100), st.floats(0, 100)),
)
_some = st.one_of(st.none(), st.floats(0, 1e12))
_reading = st.builds(
    ServerReading,
    at=st.just(0.0),
    lag_seconds=_some,
    lag_bytes=_some,
    unarchived_segments=st.one_of(st.none(), st.integers(0, 10**6)),
    connections=st.one_of(st.none(), st.floats(0, 1)),
    client_p99_ms=_some,
    unsettled=st.integers(0, 10**6),
)
_readings = st.builds(Readings, _latency, _latency, _reading, st.floats(0, 20), _some)
_pages = st.builds(
    PageDone,
    points=st.integers(1, 10_000),
    busy_seconds=st.floats(0.001, 100),
    since_seconds=st.floats(0.001, 100),
    points_per_second=st.floats(1, 1e6),
    workers=st.integers(1, 64),
)
_duties = st.builds(
    Duty, share=st.floats(LEAST_SHARE, 1), lowered_at=st.floats(0, 100), raised_at=st.floats(0, 100)
)


@given(_readings, _duties, _pages)
def test_never_faster_than_the_operators_limit(
    readings: Readings, duty: Duty, page: PageDone
) -> None:
    """Whatever is read: pages and pauses of all workers together keep the rate."""
    found = decide(readings, LIMITS, duty, page, now=100.0)
    seconds = page.since_seconds + found.pause_seconds
    assert page.points * page.workers / seconds <= page.points_per_second * (1 + 1e-9)


@given(_readings, _duties, _pages, st.floats(1, 10))
def test_more_pressure_never_waits_less(
    readings: Readings, duty: Duty, page: PageDone, factor: float
) -> None:
    """With everything else the same."""

    def pause(lag: float) -> float:
        server = replace(readings.server or CALM, lag_seconds=lag)
        known = replace(readings, server=server)
        return decide(known, LIMITS, duty, page, now=100.0).pause_seconds

    lag = (readings.server or CALM).lag_seconds or 1.0
    assert pause(lag * factor) >= pause(lag)


@given(st.lists(_readings, max_size=20), _pages)
def test_it_always_comes_back(history: list[Readings], page: PageDone) -> None:
    """After any past, calm readings bring the full pace within half a minute."""
    free = replace(page, points_per_second=0.0)
    duty, now = Duty(), 0.0
    for readings in history:
        now += 1.0
        duty = decide(readings, LIMITS, duty, free, now=now).duty
    for _ in range(30):
        now += 1.0
        duty = decide(QUIET, LIMITS, duty, free, now=now).duty
    found = decide(QUIET, LIMITS, duty, free, now=now)
    assert (found.duty.share, found.pause_seconds) == (1.0, 0.0)
