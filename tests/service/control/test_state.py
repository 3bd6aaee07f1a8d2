"""Views and their leases."""

import pytest

from service.control.state import CollectionState, View
from service.stages import Side, Stage


def _view(*states: CollectionState, **aliases: str) -> View:
    return View(3, states, default_stage=Stage.DUALWRITE, aliases=aliases)


def test_an_unknown_collection_is_in_the_default_stage() -> None:
    """Without a row a collection has the default stage and epoch 0."""
    state = _view(CollectionState("known", Stage.LIVE, 1, epoch=4)).state("new")
    assert (state.stage, state.epoch, state.generation) == (Stage.DUALWRITE, 0, None)


def test_an_alias_stands_for_its_collection() -> None:
    """A name that is no alias stands for itself."""
    view = _view(alias="physical")
    assert (view.physical("alias"), view.physical("other")) == ("physical", "other")


def test_each_alias_is_by_the_word_of_the_store_that_is_right() -> None:
    """The other store has a copy, which may be old; what it alone has of a moved collection is nothing."""
    live = CollectionState("live", Stage.LIVE, 1, epoch=3, aliases=frozenset({"ours", "both"}))
    dual = CollectionState("dual", Stage.DUALWRITE, 2, epoch=1, aliases=frozenset({"copy"}))
    view = _view(live, dual, theirs="dual", both="live", old="live", unknown="new")
    assert view.aliases == {"ours": "live", "both": "live", "theirs": "dual", "unknown": "new"}
    assert [view.is_gone(name) for name in ("old", "both", "copy", "live")] == [True] + [False] * 3
    assert view.state("old").authority is Side.TARGET


def test_one_frozen_collection_is_enough() -> None:
    """The view says that something is frozen as long as any row is."""
    calm = CollectionState("a", Stage.RAMP)
    assert not _view(calm).is_any_frozen
    assert _view(calm, CollectionState("b", Stage.RAMP, frozen=True)).is_any_frozen


def test_a_view_is_idle_when_its_last_lease_ended() -> None:
    """Leases are counted; one that ends in an error ends too."""
    view = _view()
    with view.lease("c"):
        with pytest.raises(ValueError, match="nothing"), view.lease("c"):
            int("nothing")
        was_idle = view.is_idle
    assert (was_idle, view.is_idle) == (False, True)


def test_a_state_says_who_is_right() -> None:
    """Authority and mirroring follow from the stage."""
    state = CollectionState("a", Stage.RAMPDOWN)
    assert state.authority is Side.TARGET
    assert state.is_mirrored


@pytest.mark.parametrize(
    ("default", "stages", "needed"),
    [
        (Stage.OFF, (Stage.RAMP, Stage.SHADOW), False),
        (Stage.OFF, (Stage.RAMP, Stage.LIVE), True),
        (Stage.COMPLETE, (), True),
    ],
)
def test_postgres_is_needed_where_it_answers(
    default: Stage, stages: tuple[Stage, ...], needed: bool
) -> None:
    """An instance whose collections all read from Qdrant is ready without Postgres."""
    states = [CollectionState(str(stage), stage, epoch=1) for stage in stages]
    assert View(1, states, default_stage=default).needs_target is needed
