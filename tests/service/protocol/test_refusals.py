"""Refusals: which errors are about the ids, and how the refused ones are found."""

from collections.abc import Sequence

import pytest

from service.errors import (
    CollectionNotFound,
    ConfigurationError,
    PointNotFound,
    SourceUnavailable,
    StaleEpoch,
    StoreAnswered,
    StoreError,
    TargetRefused,
    TargetUnavailable,
    WrongInput,
)
from service.protocol import refusals
from service.protocol.refusals import is_refusal, may_still_land, refused_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (WrongInput("NUL"), True),
        (PointNotFound("no"), True),
        (TargetRefused("XX000"), True),
        (StoreAnswered(400, b"{}"), True),
        (StoreAnswered(404, b"{}"), True),
        (StoreAnswered(413, b"{}"), True),
        (StoreAnswered(422, b"{}"), True),
        (KeyError("a fault of ours"), True),
        (CollectionNotFound("c"), False),
        (StoreAnswered(401, b"{}"), False),
        (StoreAnswered(403, b"{}"), False),
        (StoreAnswered(408, b"{}"), False),
        (StoreAnswered(429, b"{}"), False),
        (StoreAnswered(500, b"{}"), False),
        (StoreAnswered(200, b"<html>"), False),
        (SourceUnavailable("is away"), False),
        (TargetUnavailable("is away"), False),
        (StoreError("42P01"), False),
        (ConfigurationError("no right"), False),
        (StaleEpoch(), False),
        (TimeoutError(), False),
        (ConnectionResetError(), False),
    ],
    ids=repr,
)
def test_absence_is_no_refusal(error: Exception, expected: bool) -> None:
    """Only what a store says of the ids it was given counts; a store that is away, busy or closed to us does not."""
    assert is_refusal(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SourceUnavailable("hung up"), True),
        (SourceUnavailable("is away", may_have_applied=False), False),
        (StoreAnswered(500, b"{}"), True),
        (StoreAnswered(408, b"{}"), True),
        (StoreAnswered(400, b"{}"), False),
        (StoreAnswered(403, b"{}"), False),
        (StoreAnswered(429, b"{}"), False),
        (TargetUnavailable("is away"), False),
        (CollectionNotFound("c"), False),
    ],
    ids=repr,
)
def test_a_push_without_an_answer_may_still_land(error: Exception, expected: bool) -> None:
    """A refusal and a request that never left have a known end (R1)."""
    assert may_still_land(error) is expected


class Picky:
    """Takes what contains none of its bad numbers."""

    def __init__(self, *bad: int) -> None:
        self.bad = frozenset(bad)
        self.taken: list[int] = []
        self.tries = 0

    async def take(self, items: Sequence[int]) -> None:
        """Take them all or none."""
        self.tries += 1
        if self.bad & set(items):
            raise WrongInput(str(sorted(self.bad & set(items))))
        self.taken += items


@pytest.mark.parametrize("bad", [(), (0,), (99,), (50,), (3, 4), (0, 49, 50, 99)])
async def test_the_refused_are_found(bad: tuple[int, ...]) -> None:
    """Everything else is taken exactly once, in order, with few tries, and each refused one has its own reason."""
    store = Picky(*bad)
    refused, undecided = await refused_of(range(100), store.take)
    assert [item for item, _ in refused] == sorted(bad)
    assert [str(error) for _, error in refused] == [
        f"Wrong input: [{each}]" for each in sorted(bad)
    ]
    assert store.taken == [each for each in range(100) if each not in bad]
    assert undecided == []
    assert store.tries <= 1 + 15 * len(bad)


async def test_the_tries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be decided is given back, and nothing is lost on the way."""
    monkeypatch.setattr(refusals, "MOST_TRIES", 10)
    store = Picky(*range(0, 64, 2))
    refused, undecided = await refused_of(range(64), store.take)
    assert store.tries == 10
    assert refused
    found = [item for item, _ in refused]
    assert sorted([*found, *store.taken, *undecided]) == list(range(64))


async def test_a_store_that_goes_away_is_not_blamed_on_the_items() -> None:
    """Any other error ends the search at once."""

    async def away(_: Sequence[int]) -> None:
        raise TargetUnavailable("is away")

    with pytest.raises(TargetUnavailable):
        await refused_of(range(4), away)
