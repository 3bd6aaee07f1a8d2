"""Which errors pass, and the pauses after them."""

import pytest

from backfill.patience import Patience, passes
from service.errors import (
    CollectionNotFound,
    ConfigurationError,
    Overloaded,
    SourceUnavailable,
    StageError,
    StoreAnswered,
    StoreError,
    TargetRefused,
    TargetUnavailable,
    TimedOut,
    VecferryError,
    WrongInput,
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SourceUnavailable("is down"), True),
        (TargetUnavailable("is full"), True),
        (TimedOut("scroll", 60), True),
        (Overloaded("too much"), True),
        (StoreAnswered(503, b""), True),
        (StoreAnswered(429, b""), True),
        (StoreAnswered(408, b""), True),
        (StoreAnswered(400, b""), False),
        (StoreAnswered(401, b""), False),
        (StoreError("42601: syntax"), False),
        (TargetRefused("too large"), False),
        (WrongInput("no"), False),
        (CollectionNotFound("c"), False),
        (StageError("not mirrored"), False),
        (ConfigurationError("login refused"), False),
    ],
)
def test_what_passes(error: VecferryError, expected: bool) -> None:
    """A store that is away, full or busy comes back; what was asked wrongly stays wrong."""
    assert passes(error) is expected


def test_pauses_double_up_to_the_longest() -> None:
    """Each is as long as it has been failing."""
    patience, now, pauses = Patience(first=0.25, longest=15), 100.0, []
    for _ in range(10):
        pauses.append(patience.failed("range", 0, now))
        now += pauses[-1]
    assert pauses == [0.25, 0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]


def test_progress_success_and_quiet_begin_anew() -> None:
    """A source that fails now and then is not treated as one that is away; places do not mix."""
    patience = Patience(first=1, longest=60)
    for now in (0.0, 10.0, 20.0):
        patience.failed("range", 7, now)
    assert patience.failed("range", 7, 30.0) == 30
    assert patience.failed("other", 7, 30.0) == 1
    assert patience.failed("range", 8, 31.0) == 1
    assert patience.failed("range", 8, 41.0) == 10
    assert patience.failed("range", 8, 41.0 + 61.0) == 1
    patience.failed("range", 8, 112.0)
    patience.succeeded("range")
    assert patience.failed("range", 8, 113.0) == 1
