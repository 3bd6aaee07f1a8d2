"""What the drills hold for possible: too little would accuse, too much would excuse."""

from tests.faults.fate import Fate
from tests.faults.states import (
    Held,
    cleared,
    deleted,
    held,
    merged,
    replaced,
    where,
    with_vectors,
    without_keys,
    without_vectors,
)

ONE = held({"tag": 1}, {"left": [1.0]})
TWO = held({"tag": 2}, {"left": [2.0]})


def _of(point: Held) -> Fate:
    fate = Fate()
    fate.told(replaced(point))
    return fate


def test_a_told_write_leaves_one_state() -> None:
    """Nothing else than what was told done is allowed, for readers as well."""
    fate = _of(ONE)
    fate.told(replaced(TWO))
    assert fate.allows(TWO)
    assert not fate.allows(ONE)
    assert not fate.may_show(ONE)
    assert not fate.allows(None)


def test_an_unknown_write_may_have_happened_or_not() -> None:
    """Both states are allowed, and no third."""
    fate = _of(ONE)
    fate.unknown(deleted)
    assert fate.possible == {ONE, None}


def test_an_unknown_write_may_land_after_a_later_one() -> None:
    """A deletion whose answer was lost may still take what was written and told done afterwards."""
    fate = _of(ONE)
    fate.unknown(deleted)
    fate.told(replaced(TWO))
    assert fate.possible == {TWO, None}


def test_an_unknown_write_that_would_change_nothing_now_may_do_so_later() -> None:
    """A deletion by filter that matches nothing may still lie in a socket when a point that it matches is written."""
    fate = _of(ONE)
    fate.unknown(where({"tag": 2}, deleted))
    fate.told(replaced(TWO))
    assert fate.possible == {TWO, None}


def test_an_acknowledged_write_may_not_show_yet() -> None:
    """A reader may see the state before it; in the end it must be there."""
    fate = _of(ONE)
    fate.acknowledged(replaced(TWO))
    assert fate.may_show(ONE)
    assert not fate.allows(ONE)
    fate.told(merged({"more": True}))
    assert not fate.may_show(ONE)


def test_a_conditional_write_hides_what_it_cannot_have_left() -> None:
    """Whether it saw an open write or not: a reader may not see what neither order leaves."""
    fate = _of(ONE)
    fate.unknown(replaced(TWO))
    fate.told(where({"tag": 1}, deleted))
    assert fate.possible == {TWO, None}
    assert not fate.may_show(ONE)


def test_too_many_open_writes_excuse_everything_and_say_so() -> None:
    """Such an id is written no more."""
    fate = _of(ONE)
    for number in range(5):
        fate.unknown(merged({"n": number}))
    assert fate.is_vague
    assert fate.allows(None)


def test_effects_do_what_the_requests_say() -> None:
    """Every kind of change, on a point and on none."""
    assert merged({"more": 1})(ONE) == held({"tag": 1, "more": 1}, {"left": [1.0]})
    assert without_keys(["tag"])(ONE) == held({}, {"left": [1.0]})
    assert with_vectors({"right": [3.0]})(ONE) == held({"tag": 1}, {"left": [1.0], "right": [3.0]})
    assert without_vectors(["left"])(ONE) == held({"tag": 1}, {})
    assert where({"tag": 1}, deleted)(ONE) is None
    assert where({"tag": 1}, deleted)(TWO) == TWO
    assert where({"tag": 9}, replaced(TWO), missing=replaced(TWO))(None) == TWO
    for effect in (merged({}), without_keys([]), with_vectors({}), without_vectors([]), cleared):
        assert effect(None) is None
