"""Which errors pass by themselves, and how long to wait before the next try."""

from collections.abc import Hashable
from dataclasses import dataclass
from http import HTTPStatus

from service.errors import (
    Overloaded,
    SourceUnavailable,
    StoreAnswered,
    TargetUnavailable,
    TimedOut,
    VecferryError,
)

_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def passes(error: VecferryError) -> bool:
    """Say whether the same may succeed later: a store is away, restarting, full or busy."""
    match error:
        case SourceUnavailable() | TargetUnavailable() | TimedOut() | Overloaded():
            return True
        case StoreAnswered():
            return error.code in _PASSING or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Failing:
    since: float
    last: float
    progress: int


class Patience:
    """Pauses after failures: as long as it has been failing, so they double; between ``first`` and ``longest`` seconds.

    A place that has come further, or was quiet for ``forget`` seconds, begins anew. Times are of one monotonic clock.
    """

    def __init__(self, *, first: float = 0.25, longest: float = 15.0, forget: float = 60.0) -> None:
        self._first = first
        self._longest = longest
        self._forget = forget
        self._failing: dict[Hashable, _Failing] = {}

    def failed(self, place: Hashable, progress: int, now: float) -> float:
        """Return the pause after a failure; ``progress`` is a number that grows when the place comes further."""
        known = self._failing.get(place)
        is_new = known is None or known.progress != progress or now - known.last > self._forget
        since = now if known is None or is_new else known.since
        self._failing[place] = _Failing(since, now, progress)
        return min(max(now - since, self._first), self._longest)

    def succeeded(self, place: Hashable) -> None:
        """Forget what failed before."""
        self._failing.pop(place, None)
