"""What each stage means, and the ways between the stages."""

import pytest

from service.errors import StageError
from service.stages import (
    TRANSITIONS,
    Change,
    Side,
    Stage,
    authority,
    compares,
    mirrors,
    needs_backfill,
    transition,
)

_BEFORE_LIVE = [Stage.DUALWRITE, Stage.SHADOW, Stage.RAMP]


@pytest.mark.parametrize("stage", list(Stage))
def test_the_authority_moves_with_live(stage: Stage) -> None:
    """The source is right up to ramp, the target from live on."""
    is_after = stage in {Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE}
    assert authority(stage) is (Side.TARGET if is_after else Side.SOURCE)


def test_both_stores_are_written_between_the_ends() -> None:
    """Only off and complete leave a store alone."""
    assert {stage for stage in Stage if not mirrors(stage)} == {Stage.OFF, Stage.COMPLETE}


def test_reads_are_compared_only_where_both_stores_answer() -> None:
    """A stage that compares reads mirrors writes and needs a complete copy."""
    for stage in Stage:
        if compares(stage):
            assert mirrors(stage)
            assert needs_backfill(stage)


@pytest.mark.parametrize(("start", "end"), list(TRANSITIONS))
def test_a_transition_does_what_its_ends_demand(start: Stage, end: Stage) -> None:
    """Writes are held exactly where the authority moves or a store that was written is left behind for good."""
    moves = authority(start) is not authority(end)
    change = transition(start, end)
    assert (change is Change.FREEZE) == (moves or end is Stage.COMPLETE)
    assert (change is Change.ARM) == (start is Stage.OFF)
    assert (change is Change.ABANDON) == (end is Stage.OFF)


@pytest.mark.parametrize("stage", _BEFORE_LIVE)
def test_before_live_everything_can_be_abandoned(stage: Stage) -> None:
    """From every stage before live a single step leads back to off."""
    assert transition(stage, Stage.OFF) is Change.ABANDON


def test_every_stage_before_complete_leads_back_to_the_source() -> None:
    """A rollback is possible until complete, and not after."""
    for stage in set(Stage) - {Stage.COMPLETE}:
        reached, rim = {stage}, {stage}
        while rim:
            rim = {end for start, end in TRANSITIONS if start in rim} - reached
            reached |= rim
        assert authority(stage) is Side.SOURCE or Stage.SHADOW in reached
    assert not [end for start, end in TRANSITIONS if start is Stage.COMPLETE]


def test_a_way_that_does_not_exist_names_those_that_do() -> None:
    """The operator reads where he can go from here."""
    with pytest.raises(StageError, match="no way from off to live; from off: dualwrite"):
        transition(Stage.OFF, Stage.LIVE)
    with pytest.raises(StageError, match="from complete: nowhere"):
        transition(Stage.COMPLETE, Stage.LIVE)


def test_the_other_side() -> None:
    """Each store has one other."""
    assert Side.SOURCE.other is Side.TARGET
    assert Side.TARGET.other is Side.SOURCE
