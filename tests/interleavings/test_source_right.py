"""Writes while the source is right: every order of few steps, and every fault, on the real protocol code."""

from dataclasses import replace

import pytest

from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites
from service.stages import Stage
from tests.interleavings import broken, source
from tests.interleavings.building import Variant
from tests.interleavings.history import Faults, History
from tests.interleavings.ledger import Without
from tests.interleavings.postgres import CUT, SLOW
from tests.interleavings.search import Budget
from tests.interleavings.searching import assert_holds, assert_sampled, first_violation
from tests.interleavings.writes import Put, Read, Remove, RemoveWhere, SetSome

ONE_INSTANCE = History([("A", [Put(1, (1,))]), ("A", [Remove((1,))])], points={1: 0})
TWO_INSTANCES = History([("A", [Put(1, (1,))]), ("B", [Remove((1,))])], points={1: 0})
IN_PART = History([("A", [SetSome(1, (1, 9))]), ("B", [Put(2, (1,))])], points={1: 0})
BY_FILTER = History(
    [("A", [RemoveWhere(0)]), ("B", [Put(1, (1,)), Put(0, (2,))])], points={1: 0, 3: 0}
)
PAGE = History([("A", [Remove((1,)), Put(2, (2,))])], points={1: 0}, backfills=True)
DELETED = replace(PAGE, clients=[("A", [Remove((1,))])])
MOVED_READS = History(
    [("A", [Put(1, (1,)), Read(1)]), ("B", [Read(1)])], points={1: 0}, stage=Stage.RAMP
)

ORDERS = Budget(2)
FAULT = Budget(0, 1)
FAULT_AND_ORDER = Budget(1, 1)
WIDE = Budget(3, 2)

EVERY_FAULT = Faults(
    write=(source.LOST, source.REFUSED, source.LATE, source.QUEUED),
    answer=(source.ANSWER_LOST, source.ANSWER_SLOW),
    read=("fails",),
    postgres=(CUT,),
    slow=(SLOW,),
)
SLEEPY = Faults(sleepy=("A",), write=(source.WAITS,), answer=(source.ANSWER_SLOW,))


@pytest.mark.parametrize(
    "history",
    [ONE_INSTANCE, TWO_INSTANCES, IN_PART, BY_FILTER, PAGE, MOVED_READS],
    ids=["one instance", "two instances", "in part", "by filter", "backfill", "moved reads"],
)
def test_every_order_of_the_steps_is_safe(history: History) -> None:
    """Whatever runs before whatever, with up to two departures from the default order."""
    assert_holds(history, ORDERS)


@pytest.mark.parametrize("history", [ONE_INSTANCE, IN_PART], ids=["one instance", "in part"])
def test_every_single_fault_at_every_step_is_survived(history: History) -> None:
    """Requests lost, late or only acknowledged, answers lost, connections cut, a slow Postgres; some of them twice."""
    assert_holds(replace(history, faults=EVERY_FAULT), FAULT)
    assert_sampled(replace(history, faults=EVERY_FAULT), Budget(2, 2), runs=150)


def test_a_backfills_page_survives_faults() -> None:
    """A page and the writes beside it."""
    assert_holds(replace(PAGE, faults=EVERY_FAULT), FAULT)


def test_an_instance_may_die_at_any_step() -> None:
    """Another one recovers what it left; its request may still land."""
    assert_holds(replace(TWO_INSTANCES, faults=Faults(mortal=("A",))), FAULT_AND_ORDER)


def test_an_instance_may_stand_still_at_any_step() -> None:
    """It wakes up after others have taken over its intents (R7)."""
    assert_holds(replace(TWO_INSTANCES, faults=SLEEPY), FAULT)
    assert_sampled(replace(TWO_INSTANCES, faults=SLEEPY), Budget(1, 2), runs=150)


LATE = replace(ONE_INSTANCE, faults=Faults(write=(source.LATE,)))
QUEUED = replace(ONE_INSTANCE, faults=Faults(write=(source.QUEUED,)))
ASLEEP = replace(TWO_INSTANCES, faults=SLEEPY)


@pytest.mark.parametrize(
    ("history", "without"),
    [
        (TWO_INSTANCES, Without.STRIPES),
        (TWO_INSTANCES, Without.OWN_ENDS),
    ],
    ids=["no locks", "R2"],
)
def test_a_statement_taken_out_of_postgres_is_found(history: History, without: Without) -> None:
    """The search sees what the locks and R2 are for."""
    first_violation(history, Variant(without=frozenset({without})), WIDE)


@pytest.mark.parametrize(
    ("history", "resyncer"),
    [
        (LATE, broken.UnknownHasEnded),
        (QUEUED, broken.AcknowledgedHasEnded),
        (ASLEEP, broken.NeverRecovered),
    ],
    ids=["R1 unknown", "R1 acknowledged", "R7"],
)
def test_a_hasty_resync_is_found(history: History, resyncer: type[Resyncer]) -> None:
    """The search sees what it means that a request has ended (R1), and what R7 is for."""
    found = first_violation(history, Variant(resyncer=resyncer), WIDE)
    assert found.reason.startswith("Violation: I")


@pytest.mark.parametrize(
    ("history", "writes"),
    [(TWO_INSTANCES, broken.NoIntent), (IN_PART, broken.DropsRefused)],
    ids=["no intent", "R3"],
)
def test_a_write_without_its_intent_is_found(history: History, writes: type[SourceWrites]) -> None:
    """The search sees what the intent is for, also when the source says 404 (R3)."""
    assert "I1" in first_violation(history, Variant(writes=writes), WIDE).reason
