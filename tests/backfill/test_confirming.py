"""First looks without a lock, and what follows where a store fails under it."""

from collections.abc import Sequence

import pytest

from backfill.canonical import Kind
from backfill.confirming import KEYS_PER_LOOK, Judgement, Looks
from backfill.retry import Retry
from service.errors import SourceUnavailable, StageError, VecferryError
from service.model.ids import encode_key
from tests.backfill.fakes import Shelf, point


class Court:
    """A judge that confirms what it is asked about, or fails."""

    def __init__(self, error: VecferryError | None = None) -> None:
        self.asked: list[Sequence[bytes]] = []
        self.error = error

    async def judge(
        self, collection: str, generation: int, keys: Sequence[bytes]
    ) -> Sequence[Judgement]:
        self.asked.append(keys)
        if self.error is not None:
            raise self.error
        return [Judgement(key, (Kind.MISSING,)) for key in keys]


async def judgements(court: Court, ours: Shelf, theirs: Shelf, count: int) -> list[Judgement]:
    """Look at the first ids."""
    looks = Looks(ours, theirs, court, Retry(1))
    keys = [encode_key(i) for i in range(count)]
    return [each async for some in looks.at("c", 1, keys) for each in some]


async def test_only_what_still_differs_is_locked_and_not_too_much_at_once() -> None:
    """Every id gets one judgement; equal ones need no lock."""
    court, count = Court(), 2 * KEYS_PER_LOOK + 10
    ours = Shelf(point(i) for i in range(count))
    theirs = Shelf(point(i) for i in range(count) if i % 3)
    found = await judgements(court, ours, theirs, count)
    assert sorted(each.key for each in found) == [encode_key(i) for i in range(count)]
    assert sum(map(len, court.asked)) == len(range(0, count, 3))
    assert max(map(len, court.asked)) <= KEYS_PER_LOOK
    assert {each.key for each in found if each.kinds} == {encode_key(i) for i in range(0, count, 3)}
    assert all(each.is_settled for each in found)


async def test_a_store_that_fails_under_the_locks_settles_nothing() -> None:
    """What it was asked about stays open, as it was seen; replicas that disagree are such a failure."""
    court = Court(SourceUnavailable("has replicas that disagree", may_have_applied=False))
    found = await judgements(court, Shelf([point(0), point(1)]), Shelf([point(1)]), 2)
    assert {each.key: (each.kinds, each.is_settled) for each in found} == {
        encode_key(0): ((Kind.MISSING,), False),
        encode_key(1): ((), True),
    }


async def test_stores_that_are_no_longer_compared_end_the_job() -> None:
    """That is no outage."""
    with pytest.raises(StageError):
        await judgements(Court(StageError("complete")), Shelf([point(0)]), Shelf(), 1)
