"""Writes while Postgres is right: the outbox, and pushes to the source in every order."""

from dataclasses import replace

import pytest

from service.stages import Stage
from tests.interleavings import source
from tests.interleavings.building import Variant
from tests.interleavings.history import Faults, History
from tests.interleavings.ledger import Without
from tests.interleavings.postgres import CUT
from tests.interleavings.search import Budget
from tests.interleavings.searching import assert_holds, first_violation
from tests.interleavings.writes import Put, Read, Remove

LIVE = History([("A", [Put(1, (1,))]), ("B", [Remove((1,))])], points={1: 0}, stage=Stage.LIVE)
READ = History([("A", [Put(1, (1,)), Read(1)]), ("B", [Read(1)])], points={1: 0}, stage=Stage.LIVE)
FAULTS = Faults(
    write=(source.LOST, source.LATE, source.QUEUED), answer=(source.ANSWER_LOST,), postgres=(CUT,)
)
WIDE = Budget(4, 1)


@pytest.mark.parametrize("history", [LIVE, READ], ids=["writes", "reads"])
def test_every_order_of_the_steps_is_safe(history: History) -> None:
    """Two instances write the same id and push it."""
    assert_holds(history, Budget(1), Budget(2))


def test_every_single_fault_at_every_step_is_survived() -> None:
    """A push that is lost, late or only acknowledged; a connection cut before and after a commit."""
    assert_holds(replace(LIVE, faults=FAULTS), Budget(0, 1))


def test_an_instance_may_die_at_any_step() -> None:
    """Its push may still land when another one takes over."""
    assert_holds(replace(LIVE, faults=Faults(mortal=("A",))), Budget(0, 1))


@pytest.mark.parametrize(
    "without",
    [
        frozenset({Without.OUTBOX}),
        frozenset({Without.PUSH_LOCKS, Without.ATTEMPTS}),
    ],
    ids=["outbox", "R8"],
)
def test_a_mechanism_taken_out_is_found(without: frozenset[Without]) -> None:
    """The search sees what the outbox is for, and why pushes of the same ids take turns (R8)."""
    first_violation(LIVE, Variant(without=without), WIDE)
