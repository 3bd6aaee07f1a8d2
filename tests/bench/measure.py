"""What a benchmark case is, how it is measured and what its row in the report says.

Rule 1: ours and the peer are measured in turn (ours, peer, ours, peer …) in one run, so that
whatever else the machine does meets both.
Rule 2: a row holds medians over the rounds; the ratio is the quotient of the two medians in it.
Rule 3: a warm-up round goes before the counted ones and leaves no trace in the figures, unless rounds are long.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import Generic, TypeAlias, TypeVar, assert_never

Measure: TypeAlias = Callable[[], Awaitable[float]]
Rig = TypeVar("Rig")


class Better(StrEnum):
    """Which direction is good."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class Pair:
    """The two sides of a case, set up; each call measures one value in the case's unit."""

    ours: Measure
    peer: Measure


@dataclass(frozen=True, slots=True)
class Case(Generic[Rig]):
    """One comparison; ``goal`` bounds the ratio ours / peer on the side that ``better`` says."""

    area: str
    name: str
    peer_name: str
    unit: str
    better: Better
    goal: float
    rounds: int
    set_up: Callable[[Rig], AbstractAsyncContextManager[Pair]]
    warms_up: bool = True
    """Rounds of many seconds do without."""


@dataclass(frozen=True, slots=True)
class Row:
    """A measured case, as it stands in the table and in ``build/bench.json``."""

    area: str
    case: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    goal: float
    better: Better

    @property
    def meets_goal(self) -> bool:
        """Whether the ratio is on the good side of the goal."""
        match self.better:
            case Better.HIGHER:
                return self.ratio >= self.goal
            case Better.LOWER:
                return self.ratio <= self.goal
            case _:
                assert_never(self.better)


async def measured(case: Case[Rig], rig: Rig) -> Row:
    """Set the case up on the rig, run its rounds and return its row."""
    async with case.set_up(rig) as pair:
        samples = await interleaved(pair, case.rounds, warms_up=case.warms_up)
    return row(case, samples)


async def interleaved(
    pair: Pair, rounds: int, *, warms_up: bool = True
) -> list[tuple[float, float]]:
    """Return (ours, peer) of every counted round."""
    if warms_up:
        await pair.ours()
        await pair.peer()
    return [(await pair.ours(), await pair.peer()) for _ in range(rounds)]


def row(case: Case[Rig], samples: list[tuple[float, float]]) -> Row:
    """Return the medians of the samples as the case's row."""
    ours = median(sample[0] for sample in samples)
    peer = median(sample[1] for sample in samples)
    return Row(
        area=case.area,
        case=case.name,
        ours=ours,
        peer=peer,
        peer_name=case.peer_name,
        unit=case.unit,
        ratio=ours / peer,
        goal=case.goal,
        better=case.better,
    )
