"""The questions that the tests ask of a search, and how far each goes.

``VECFERRY_TEST_DEEP=1`` allows one more deviation everywhere, and longer searches.
"""

import os
from collections import Counter

from tests.interleavings.building import Variant
from tests.interleavings.history import History
from tests.interleavings.invariants import Invariant
from tests.interleavings.search import Budget, Explored, Found, explore, sample
from tests.interleavings.world import running

IS_DEEP = os.environ.get("VECFERRY_TEST_DEEP") == "1"
_MOST_RUNS = 200_000 if IS_DEEP else 1_500
_FINDING_RUNS = 4_000

_explored: Counter[str] = Counter()


def total() -> int:
    """Return how many histories ran in this process."""
    return _explored.total()


def count_random() -> None:
    """Count a history that somebody else drives."""
    _explored["random"] += 1


def assert_holds(history: History, *budgets: Budget, variant: Variant | None = None) -> None:
    """Explore a history; within each budget completely. Fails with the story of what went wrong."""
    for budget in budgets:
        deeper = Budget(budget.deviations + IS_DEEP, budget.faults)
        explored = explore(running(history, variant), deeper, most_runs=_MOST_RUNS)
        _explored["holds"] += explored.runs
        assert explored.found is None, f"{deeper}\n{explored.found}"
        assert explored.is_complete or IS_DEEP, f"{deeper} has more than {explored.runs} runs"


def assert_sampled(history: History, budget: Budget, *, runs: int, seed: int = 1) -> None:
    """Run a history in random orders; more of them in the deep profile."""
    explored = sample(running(history), budget, runs=runs * (50 if IS_DEEP else 1), seed=seed)
    _explored["sampled"] += explored.runs
    assert explored.found is None, str(explored.found)


def first_violation(
    history: History, variant: Variant, budget: Budget, only: Invariant | None = None
) -> Found:
    """Return what goes wrong with a broken variant in random orders within the budget.

    With ``only`` nothing else is watched: the violation bears its name.
    """
    run = running(history, variant, _watched(only))
    return _found(sample(run, budget, runs=_FINDING_RUNS, seed=3), only)


def complete_violation(
    history: History, variant: Variant, budget: Budget, only: Invariant | None = None
) -> Found:
    """Return what goes wrong with a broken variant, as the complete search within the budget meets it first."""
    run = running(history, variant, _watched(only))
    return _found(explore(run, budget, most_runs=_FINDING_RUNS), only)


def _watched(only: Invariant | None) -> tuple[Invariant, ...]:
    return tuple(Invariant) if only is None else (only,)


def _found(explored: Explored, only: Invariant | None) -> Found:
    _explored["mutations"] += explored.runs
    assert explored.found is not None, "nothing was found: the search cannot see this mechanism"
    if only is not None:
        assert explored.found.reason.startswith(f"Violation: {only.name}"), explored.found
    return explored.found
