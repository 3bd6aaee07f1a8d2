"""Which shadow reads met an unsettled write."""

from uuid import uuid4

from service.protocol.watch import UnsettledWatch


def test_a_quiet_collection_is_not_disturbed() -> None:
    """Writes of other collections do not count."""
    watch = UnsettledWatch()
    disturbed = watch.begin(1)
    watch.opened(uuid4(), 2)
    assert not disturbed()


def test_a_write_before_during_or_after_disturbs() -> None:
    """A write disturbs a read that it overlaps, also when it is settled before the read ends."""
    watch = UnsettledWatch()
    intent = uuid4()
    during, over = watch.begin(1), watch.begin(1)
    watch.opened(intent, 1)
    before = watch.begin(1)
    assert during()
    watch.closed(intent)
    assert before()
    assert over()
    assert not watch.begin(1)()


def test_closing_twice_counts_once() -> None:
    """A second close, or one of a foreign intent, changes nothing."""
    watch = UnsettledWatch()
    first, second = uuid4(), uuid4()
    watch.opened(first, 1)
    watch.opened(second, 1)
    watch.closed(first)
    watch.closed(first)
    watch.closed(uuid4())
    assert watch.begin(1)()
    watch.closed(second)
    assert not watch.begin(1)()


def test_a_generation_that_lost_an_intent_is_disturbed_until_a_walk_misses_it() -> None:
    """What memory has no room for counts as unsettled; a walk that was under way at that time proves nothing."""
    watch, lost = UnsettledWatch(), uuid4()
    watch.opened(lost, 1)
    watch.left(lost, 1)
    assert watch.begin(1)()
    assert not watch.begin(2)()
    watch.walked(frozenset())
    assert watch.begin(1)()
    watch.walked(frozenset({1}))
    assert watch.begin(1)()
    watch.walked(frozenset({2}))
    assert not watch.begin(1)()
    assert not watch._generations
