"""The measuring itself: order, warm-up, medians, goals."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.bench.measure import Better, Case, Measure, Pair, interleaved, measured


def a_case(
    ours: list[float], peer: list[float], *, better: Better = Better.LOWER, goal: float = 1.0
) -> Case[None]:
    """Return a case that measures the given values in turn, the first of each being warm-up."""

    @asynccontextmanager
    async def set_up(_rig: None) -> AsyncIterator[Pair]:
        yield Pair(replay(ours), replay(peer))

    return Case("area", "name", "the peer", "ms", better, goal, len(ours) - 1, set_up)


def replay(values: list[float]) -> Measure:
    """Return a measure that gives the values one after the other."""
    left = iter(values)

    async def measure() -> float:
        return next(left)

    return measure


async def test_sides_take_turns() -> None:
    """Ours goes first in every round, the peer follows at once."""
    order: list[str] = []

    def named(side: str) -> Measure:
        async def measure() -> float:
            order.append(side)
            return 1.0

        return measure

    await interleaved(Pair(named("ours"), named("peer")), rounds=2)
    assert order == ["ours", "peer"] * 3


async def test_row_holds_medians_without_the_warm_up() -> None:
    """The first round is not counted and one outlier does not move a median."""
    row = await measured(a_case([900.0, 2.0, 3.0, 70.0], [900.0, 1.0, 1.5, 1.0]), None)
    assert (row.ours, row.peer, row.ratio) == (3.0, 1.0, 3.0)


@pytest.mark.parametrize(
    ("better", "goal", "meets"),
    [
        (Better.LOWER, 2.0, True),
        (Better.LOWER, 1.9, False),
        (Better.HIGHER, 2.0, True),
        (Better.HIGHER, 2.1, False),
    ],
)
async def test_goal_bounds_the_ratio_on_its_side(better: Better, goal: float, meets: bool) -> None:
    """A ratio of two meets a goal of two in either direction, and misses a stricter one."""
    row = await measured(a_case([4.0, 4.0], [2.0, 2.0], better=better, goal=goal), None)
    assert row.meets_goal is meets
