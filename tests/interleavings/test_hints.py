"""One instance loses Postgres while the source is right: hints, marks, records, and a stage change beside it."""

from dataclasses import replace

import pytest

from service.stages import Stage
from tests.interleavings import broken
from tests.interleavings.building import Variant
from tests.interleavings.history import Faults, History
from tests.interleavings.search import Budget, Script
from tests.interleavings.searching import assert_holds, assert_sampled, first_violation
from tests.interleavings.world import World
from tests.interleavings.writes import Put, Read, Remove

CUT = Faults(cuttable=("A",))
WRITES = History(
    [("A", [Put(1, (1,)), Put(2, (1,))]), ("B", [Remove((1,))])],
    points={1: 0},
    faults=CUT,
    is_full=True,
    grace_seconds=12.0,
)
FLIP = replace(WRITES, faults=Faults(), stage=Stage.SHADOW, changes=[("B", Stage.LIVE)])
THERE_AND_BACK = replace(FLIP, changes=[("B", Stage.LIVE), ("B", Stage.SHADOW)])
RAMP = replace(
    WRITES,
    clients=[("A", [Put(1, (1,))]), ("B", [Read(1), Read(1), Read(1)])],
    stage=Stage.RAMP,
)
ALONE = replace(
    FLIP,
    clients=[("A", [Put(1, (1,))])],
    faults=Faults(cut_off=("A",)),
    begins_after_seconds=10.5,
)


def test_the_default_order_flips_the_stage() -> None:
    """The history of a flip is one: at its end Postgres is right, with every write in both stores."""
    world = World(FLIP, Script((), Budget(0)), Variant())
    world.run()
    assert world.tables.control["c"].stage is Stage.LIVE


def test_no_client_notices_that_postgres_is_away() -> None:
    """Every write is done within the time that is promised (I5), and ends in both stores."""
    assert_holds(replace(WRITES, patience_seconds=0.5), Budget(0, 1))
    assert_sampled(replace(WRITES, patience_seconds=2.5), Budget(3, 1), runs=30)


@pytest.mark.parametrize("history", [FLIP, THERE_AND_BACK], ids=["flip", "there and back"])
def test_a_stage_change_beside_writes_is_safe(history: History) -> None:
    """Whoever writes under the old stage is seen by the change, or refused (I6)."""
    assert_holds(history, Budget(0), Budget(1))


def test_a_flip_that_does_not_wait_for_a_silent_instance_is_safe() -> None:
    """An instance without Postgres goes on writing while the others flip the stage: it is seen, or refused (R6)."""
    assert_holds(ALONE, Budget(0), Budget(1))


def test_no_moved_read_misses_a_write_whose_intent_is_a_hint() -> None:
    """Reads of the target end before the first hint is answered (R11)."""
    assert_sampled(RAMP, Budget(3, 1), runs=40)


def test_hints_that_are_discarded_before_their_intents_are_committed_are_found() -> None:
    """The search sees what the order of commit and discard is for, when the mover dies between the two (R6)."""
    dying = replace(ALONE, changes=(), faults=Faults(cut_off=("A",), mortal=("A",)))
    found = first_violation(dying, Variant(mover=broken.DiscardsFirst), Budget(0, 1))
    assert "I1" in found.reason
