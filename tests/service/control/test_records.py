"""What follows from the source's records, as pure functions."""

from service.control.records import Look, states_in_force
from service.control.register import Record
from service.control.state import Basis, CollectionState
from service.stages import Stage


def test_records_win_over_what_was_known() -> None:
    """The record is newer than the last view; a collection without one is as it was."""
    known = [CollectionState("a", Stage.SHADOW, 1), CollectionState("b", Stage.OFF)]
    live = CollectionState("a", Stage.LIVE, 1, epoch=9)
    new = CollectionState("c", Stage.DUALWRITE, 2)
    states = states_in_force(known, [Record(new, 1), Record(live, 4)])
    assert states == (live, known[1], new)


def test_a_look_says_what_may_be_decided_by_it() -> None:
    """Without a mark of ours only what is not mirrored passes; a frozen record holds its collection."""
    frozen = Record(CollectionState("a", Stage.SHADOW, 1, frozen=True), 2)
    look = Look([frozen], 0.0, is_marked=True)
    assert (look.basis, look.is_frozen("a"), look.is_frozen("b")) == (Basis.RECORDS, True, False)
    assert Look([], 0.0, is_marked=False).basis is Basis.UNMARKED
