"""Each invariant by itself: a mechanism is taken out, only this invariant is watched, and the search finds it broken.

What is watched alone shows whether its own check sees the fault: most faults break several invariants, I1 first.
"""

from dataclasses import replace

import pytest

from service.stages import Stage
from tests.interleavings import broken, register
from tests.interleavings.building import Variant
from tests.interleavings.history import Faults, History
from tests.interleavings.invariants import Invariant
from tests.interleavings.ledger import Without
from tests.interleavings.postgres import SLOW
from tests.interleavings.search import Budget
from tests.interleavings.searching import assert_holds, complete_violation, first_violation
from tests.interleavings.test_hints import ALONE, FLIP, RAMP, WRITES
from tests.interleavings.test_source_right import DELETED, MOVED_READS, TWO_INSTANCES
from tests.interleavings.writes import Put, Read

SLOW_POSTGRES = replace(WRITES, faults=Faults(cuttable=("A",), slow=(SLOW,)), patience_seconds=0.5)
BACK = replace(
    FLIP, clients=[("A", [Put(1, (1,))])], stage=Stage.LIVE, changes=[("B", Stage.SHADOW)]
)
FLIP_READ = replace(FLIP, clients=[("A", [Read(1), Read(1), Read(1)]), ("B", [Put(1, (1,))])])
ASLEEP = replace(FLIP, clients=[("A", [Put(1, (1,))])], faults=Faults(sleepy=("A",)), tries=3)
BACK_ASLEEP = replace(BACK, faults=Faults(sleepy=("A",)), tries=3)
MOVING = Budget(2, 1)
NO_EPOCH = Variant(without=frozenset({Without.EPOCH}))


def test_i1_without_the_intent_is_found() -> None:
    """A write that no intent names: the stores differ and nothing says so."""
    first_violation(TWO_INSTANCES, Variant(writes=broken.NoIntent), Budget(3, 2), Invariant.I1)


def test_i2_hints_that_nobody_moves_are_found() -> None:
    """The ledger never becomes empty when hints stay in the source."""
    first_violation(WRITES, Variant(mover=broken.NeverMoves), MOVING, Invariant.I2)


def test_i3_an_outbox_that_does_not_commit_with_the_data_is_found() -> None:
    """Back at the source, a write that only Postgres had is lost: nothing said that Qdrant lacks it."""
    without = Variant(without=frozenset({Without.OUTBOX}))
    first_violation(BACK, without, MOVING, Invariant.I3)


def test_i4_a_backfill_without_tombstones_is_found() -> None:
    """A page that was read before the deletion brings the point back."""
    without = Variant(without=frozenset({Without.TOMBSTONES}))
    first_violation(DELETED, without, Budget(3), Invariant.I4)


@pytest.mark.parametrize(
    "variant",
    [Variant(hints=None), Variant(intent_seconds=60.0)],
    ids=["no hints", "no budget"],
)
def test_i5_a_client_that_waits_for_postgres_is_found(variant: Variant) -> None:
    """Without another place for the intent, or without a budget, Postgres fails a client or delays it."""
    first_violation(SLOW_POSTGRES, variant, Budget(0, 1), Invariant.I5)


def test_i6_a_change_that_waits_for_nobody_is_found() -> None:
    """An instance that has not seen the change yet goes on under the old stage."""
    first_violation(FLIP_READ, Variant(changes=broken.Unconfirmed), Budget(3), Invariant.I6)


@pytest.mark.parametrize("history", [ASLEEP, BACK_ASLEEP], ids=["to the target", "back"])
def test_an_instance_may_stand_still_while_others_change_the_stage(history: History) -> None:
    """When it wakes up, its write is refused by the epoch: nobody waited for it (R5, R7)."""
    assert_holds(history, Budget(0, 1))


@pytest.mark.parametrize(
    ("history", "invariant"),
    [(BACK_ASLEEP, Invariant.I6), (ASLEEP, Invariant.I2)],
    ids=["I6", "I2"],
)
def test_i6_a_write_that_does_not_ask_the_epoch_is_found(
    history: History, invariant: Invariant
) -> None:
    """An instance that stood still through a change writes under the old stage (R5).

    While the source is right R7 keeps the write back all the same. Its intent stays, under an authority that moved: I2.
    """
    complete_violation(history, NO_EPOCH, Budget(0, 1), invariant)


@pytest.mark.parametrize(
    ("history", "variant"),
    [
        (replace(MOVED_READS, faults=Faults(read=("fails",))), Variant(front=broken.NoQuestion)),
        (
            replace(
                ALONE, clients=[*ALONE.clients, *RAMP.clients[1:]], stage=Stage.RAMP, changes=()
            ),
            Variant(front=broken.NoMarks),
        ),
        (FLIP_READ, Variant(front=broken.NeverAsksPublished)),
    ],
    ids=["the ledger", "the marks", "the publication"],
)
def test_i7_a_read_that_does_not_ask_is_found(history: History, variant: Variant) -> None:
    """A read misses what its client was told, when it does not ask for what the store may lack (R11)."""
    first_violation(history, variant, Budget(4, 2), Invariant.I7)


STEERED = replace(
    ALONE,
    faults=Faults(cut_off=("A",), register=(register.SLOW,)),
    operator_waits_seconds=0.02,
)
"""A, long without Postgres, begins a write; then B flips the stage. One request to the register may be slow."""

LATE = Variant(mover=broken.LateMover)


@pytest.mark.parametrize("variant", [Variant(), LATE], ids=["as it is", "mover late"])
def test_a_hint_beside_a_flip_is_seen_or_refused(variant: Variant) -> None:
    """The hint comes before the record is read, and the flip looks for hints after it froze the record (R6)."""
    assert_holds(STEERED, Budget(0, 1), variant=variant)


@pytest.mark.parametrize("invariant", [Invariant.I1, Invariant.I6], ids=["I1", "I6"])
def test_a_record_that_is_read_before_the_hint_is_written_is_found(invariant: Invariant) -> None:
    """The flip finds no hint yet, and the writer has seen no freeze: both go on (R6)."""
    complete_violation(STEERED, Variant(hints=broken.RecordFirst), Budget(0, 1), invariant)


@pytest.mark.parametrize("invariant", [Invariant.I1, Invariant.I3], ids=["I1", "I3"])
def test_a_flip_that_does_not_look_for_hints_is_found(invariant: Invariant) -> None:
    """A write whose hint nobody has moved yet is not in the target when that becomes right (R6)."""
    blind = replace(LATE, seals=broken.SeesNoHints)
    complete_violation(STEERED, blind, Budget(0, 1), invariant)
