"""The choice of a plan: what settles it, what the share of a filter makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores.postgres.plan import (
    MOST_EF,
    Graph,
    Question,
    Reason,
    Scan,
    by_share,
    settled,
)

_POINTS = 100_000


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (Question(depth=10, is_exact=True), Reason.ASKED),
        (Question(depth=10, is_among=True, is_filtered=True), Reason.GIVEN),
        (Question(depth=MOST_EF), Reason.TOO_DEEP),
        (Question(depth=10), Reason.UNFILTERED),
    ],
)
def test_what_needs_no_knowledge_of_the_data(question: Question, reason: Reason) -> None:
    """Each of these settles the plan by itself."""
    plan = settled(question)
    assert plan is not None
    assert plan.reason is reason


def test_a_filter_has_to_be_measured() -> None:
    """It settles nothing until its share is known."""
    assert settled(Question(depth=10, is_filtered=True)) is None


@pytest.mark.parametrize(
    ("share", "is_served", "reason"),
    [
        (0.4, True, Reason.MANY),
        (0.1, True, Reason.MANY),
        (0.05, True, Reason.MANY),
        (0.03, True, Reason.DOUBTFUL),
        (0.02, True, Reason.CHEAPER),
        (0.01, True, Reason.CHEAPER),
        (0.001, True, Reason.CHEAPER),
        (0.00005, True, Reason.FEW),
        (0.0, True, Reason.FEW),
        (0.4, False, Reason.MANY),
        (0.01, False, Reason.DOUBTFUL),
        (0.001, False, Reason.CHEAPER),
    ],
)
def test_shares_of_a_hundred_thousand_points(share: float, is_served: bool, reason: Reason) -> None:
    """The graph above two or three percent, the scan below, where the graph is slow or misses hits."""
    question = Question(depth=10, is_filtered=True)
    assert by_share(question, share, _POINTS, is_served=is_served).reason is reason


@pytest.mark.parametrize(
    ("share", "points", "is_served", "collected"),
    [
        (0.00005, 100_000, True, True),
        (0.01, 100_000, True, True),
        (0.03, 100_000, True, True),
        (0.001, 100_000, False, False),
        (0.005, 100_000_000, True, False),
    ],
)
def test_keys_are_collected_where_an_index_finds_few(
    share: float, points: int, is_served: bool, collected: bool
) -> None:
    """Without an index workers share the test of every point, and very many keys are not held in memory."""
    plan = by_share(Question(depth=5_000), share, points, is_served=is_served)
    assert isinstance(plan, Scan)
    assert plan.collected is collected


def test_nobody_waits_for_a_scan_of_very_many_points() -> None:
    """Where every point would have to be tested, the widest graph answers."""
    plan = by_share(Question(depth=10), 0.01, 100_000_000, is_served=False)
    assert plan == Graph(Reason.UNAFFORDABLE, MOST_EF, 10_000)


@pytest.mark.parametrize(
    ("depth", "asked", "ef"), [(10, None, 100), (200, None, 400), (10, 30, 30), (40, 20, 41)]
)
def test_the_breadth_follows_the_request(depth: int, asked: int | None, ef: int) -> None:
    """What the request says, but never less than what must be found; else twice the depth, at least 100."""
    plan = settled(Question(depth=depth, ef=asked))
    assert isinstance(plan, Graph)
    assert plan.ef == ef


def test_the_graph_gives_up_after_ten_times_what_is_expected() -> None:
    """But walks 2,000 points at least."""
    plans = [settled(Question(depth=depth)) for depth in (10, 500)]
    assert [plan.walk for plan in plans if isinstance(plan, Graph)] == [2_000, 5_000]


@given(
    depth=st.integers(1, MOST_EF - 1),
    share=st.floats(0, 1),
    points=st.integers(0, 10**9),
    ef=st.none() | st.integers(1, 10**6),
    is_served=st.booleans(),
)
def test_settings_stay_within_the_bounds_of_pgvector(
    depth: int, share: float, points: int, ef: int | None, is_served: bool
) -> None:
    """Whatever the estimate says, the graph can find as many points as it must."""
    plan = by_share(Question(depth=depth, ef=ef), share, points, is_served=is_served)
    if not isinstance(plan, Scan):
        assert depth < plan.ef <= MOST_EF
        assert depth < plan.walk < 2**31
