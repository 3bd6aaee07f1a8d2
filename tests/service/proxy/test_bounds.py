"""The bounds of one instance, without requests."""

from contextlib import suppress

import pytest

from service.errors import Overloaded, Refusal
from service.proxy.bounds import InFlight, Room


def test_one_more_than_the_limit_is_refused() -> None:
    """Whoever is let in has a place until the end, also when the answer fails; then it is free again."""
    bound = InFlight(2)
    with suppress(ZeroDivisionError), bound.one(), bound.one():
        with pytest.raises(Overloaded) as raised, bound.one():
            pytest.fail("a third was let in")
        assert (raised.value.refusal, bound.count) == (Refusal.REQUESTS, 2)
        raise ZeroDivisionError
    assert bound.count == 0
    with bound.one(), bound.one():
        assert bound.count == 2


def test_who_waits_elsewhere_takes_no_place() -> None:
    """A write held by a stage change lets others in, and comes back whoever is there by then."""
    bound = InFlight(1)
    with bound.one():
        with bound.aside(), bound.one():
            assert bound.count == 1
        assert bound.count == 1
    assert bound.count == 0


def test_room_is_taken_before_it_is_used() -> None:
    """The limit itself fits, one byte more does not and takes nothing."""
    room = Room(10)
    room.take(10)
    with pytest.raises(Overloaded) as raised:
        room.take(1)
    assert (raised.value.refusal, room.held) == (Refusal.BODIES, 10)
    room.give_back(10)
    room.take(10)
