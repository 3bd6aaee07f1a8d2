"""Tests of the script."""

from itertools import pairwise

from service.stages import TRANSITIONS, Stage
from tests.demo import script


def test_every_change_of_stage_is_one_that_exists() -> None:
    """The operator walks only ways of the transition table, and ends at complete."""
    stages = [Stage(step.stage) for step in (*script.UNTIL_CHECK, script.COMPLETE)]
    changes = [pair for pair in pairwise(stages) if pair[0] is not pair[1]]
    assert all(pair in TRANSITIONS for pair in changes)
    assert stages[0] is Stage.OFF
    assert stages[-1] is Stage.COMPLETE


def test_the_way_leads_through_every_stage_and_back_once() -> None:
    """A rollback from live is part of what is shown."""
    stages = [Stage(step.stage) for step in (*script.UNTIL_CHECK, script.COMPLETE)]
    assert set(stages) == set(Stage)
    assert (Stage.LIVE, Stage.SHADOW) in set(pairwise(stages))


def test_every_step_has_traffic() -> None:
    """No stage is passed without requests in it."""
    steps = (*script.UNTIL_CHECK, script.COMPLETE, script.WITHOUT_QDRANT)
    assert min(step.dwell_seconds for step in steps) >= 1
