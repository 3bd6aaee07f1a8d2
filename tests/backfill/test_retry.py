"""Trying again."""

import pytest

from backfill.retry import Retry, may_pass
from service.errors import SourceUnavailable, StoreAnswered, StoreError, TargetUnavailable


def test_pauses_double_up_to_the_longest() -> None:
    """There is one pause less than tries."""
    assert list(Retry(5, 1.0, 3.0).pauses()) == [1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SourceUnavailable("x"), True),
        (TargetUnavailable("x"), True),
        (StoreAnswered(503, b""), True),
        (StoreAnswered(429, b""), True),
        (StoreAnswered(408, b""), True),
        (StoreAnswered(400, b""), False),
        (StoreAnswered(401, b""), False),
    ],
)
def test_which_errors_may_pass(error: StoreError, expected: bool) -> None:
    """A refused request will be refused again; everything else may work later."""
    assert may_pass(error) is expected


async def test_the_last_error_is_raised() -> None:
    """The operation is tried as often as it says, no more."""
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise SourceUnavailable("is down")

    with pytest.raises(SourceUnavailable):
        await Retry(3, 0.0).call(fail)
    assert calls == 3
