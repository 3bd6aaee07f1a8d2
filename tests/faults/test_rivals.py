"""What overlapping writes of one id leave possible."""

from tests.faults.rivals import Race
from tests.faults.states import held

ONE, TWO, THREE = (held({"serial": number}, {}) for number in (1, 2, 3))


def _race(*attempts: tuple[object, float, float]) -> Race:
    race = Race([7])
    for state, began, told in attempts:
        attempt = race.begin(7, state)  # type: ignore[arg-type]
        attempt.began, attempt.told = began, told
    return race


def test_a_write_replaced_by_a_later_told_one_is_gone() -> None:
    """The first had ended when the second began."""
    race = _race((ONE, 1, 2), (TWO, 3, 4))
    assert race.allowed(7, before=5) == [TWO]


def test_overlapping_writes_may_end_in_either_order() -> None:
    """Neither had ended when the other began."""
    race = _race((ONE, 1, 4), (TWO, 2, 3))
    assert race.allowed(7, before=5) == [ONE, TWO]


def test_a_write_without_an_answer_stays_possible() -> None:
    """It may land at any time."""
    race = _race((ONE, 1, float("inf")), (TWO, 3, 4))
    assert race.allowed(7, before=5) == [ONE, TWO]


def test_a_read_may_miss_what_ended_after_it_began() -> None:
    """It must show what was told before."""
    race = _race((ONE, 1, 2), (TWO, 3, 6))
    assert race.allowed(7, before=5) == [ONE, TWO]
    assert race.allowed(7, before=7) == [TWO]
    assert race.allowed(7, before=1.5) == [None, ONE, TWO]
