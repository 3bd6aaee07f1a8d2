"""Who answers: the whole table of stages and kinds."""

import pytest

from service.control.ramp import collection_moves, tenant_moves
from service.control.state import CollectionState, View
from service.proxy.calls import Call, Kind
from service.proxy.routing import Route, route
from service.stages import Stage

PASS, COMPARE, MIRROR = Route.PASS, Route.PASS_AND_COMPARE, Route.MIRROR_FROM_SOURCE
TARGET, CURRENT, REFUSE = Route.TARGET, Route.TARGET_IF_CURRENT, Route.REFUSE

KINDS = (Kind.SEARCH, Kind.READ, Kind.WRITE, Kind.INDEX, Kind.REPLACE, Kind.STORAGE)
TABLE = {
    Stage.OFF: (PASS, PASS, PASS, PASS, PASS, PASS),
    Stage.DUALWRITE: (PASS, PASS, MIRROR, PASS, REFUSE, PASS),
    Stage.SHADOW: (COMPARE, PASS, MIRROR, PASS, REFUSE, PASS),
    Stage.RAMP: (CURRENT, CURRENT, MIRROR, PASS, REFUSE, PASS),
    Stage.LIVE: (TARGET, TARGET, TARGET, TARGET, TARGET, TARGET),
    Stage.RAMPDOWN: (TARGET, TARGET, TARGET, TARGET, TARGET, TARGET),
    Stage.COMPLETE: (TARGET, TARGET, TARGET, TARGET, TARGET, TARGET),
}


def _route(kind: Kind, state: CollectionState, tenant: str | None = None, *others: str) -> Route:
    ramping = [CollectionState(name, Stage.RAMP, 9, epoch=1) for name in others]
    view = View(1, [state, *ramping], default_stage=Stage.OFF)
    return route(Call(kind, "POST", state.name, "points"), state, view, tenant)


def test_the_table_names_every_stage() -> None:
    """A new stage needs a line here."""
    assert set(TABLE) == set(Stage)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_and_kind(stage: Stage, kind: Kind) -> None:
    """Everything moved at 100 %: each pair has the route of the design's table."""
    state = CollectionState("c", stage, 1, percent=100, epoch=3)
    assert _route(kind, state) is TABLE[stage][KINDS.index(kind)]


@pytest.mark.parametrize("kind", [Kind.SEARCH, Kind.READ])
def test_a_tenant_that_has_not_moved_stays(kind: Kind) -> None:
    """In ramp the tenant decides: at 30 % both answers occur, and each is the rank's."""
    state = CollectionState("c", Stage.RAMP, 1, percent=30, epoch=3)
    stays = COMPARE if kind is Kind.SEARCH else PASS
    for number in range(50):
        tenant = f"tenant-{number}"
        expected = CURRENT if tenant_moves(tenant, 30) else stays
        assert _route(kind, state, tenant) is expected
    assert {tenant_moves(f"tenant-{number}", 30) for number in range(50)} == {True, False}


def test_without_a_tenant_the_share_is_of_the_ramping_collections() -> None:
    """Of five collections in ramp at 10 % exactly one is read from the target."""
    names = ["a", "b", "c", "d", "e"]
    moved = []
    for name in names:
        state = CollectionState(name, Stage.RAMP, 1, percent=10, epoch=3)
        others = [other for other in names if other != name]
        if _route(Kind.READ, state, None, *others) is CURRENT:
            moved.append(name)
    assert len(moved) == 1
    assert collection_moves(moved[0], 10, names)


def test_nothing_moves_at_zero_percent() -> None:
    """A ramp of 0 % is a shadow stage with another name."""
    state = CollectionState("c", Stage.RAMP, 1, percent=0, epoch=3)
    assert _route(Kind.READ, state) is PASS
    assert _route(Kind.SEARCH, state, "t") is COMPARE


def test_a_write_to_what_is_not_armed_yet_is_never_passed_on() -> None:
    """By default everything new is to be mirrored: without a row it has to be armed first."""
    assert _route(Kind.WRITE, CollectionState("c", Stage.DUALWRITE)) is MIRROR
