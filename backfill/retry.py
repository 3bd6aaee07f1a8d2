"""How often and after which pauses a read is tried again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

import structlog

from service.errors import StoreAnswered, StoreError

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses that double from the first to the longest; ``tries`` counts the first one too."""

    tries: int = 8
    first_seconds: float = 0.25
    longest_seconds: float = 10.0

    def pauses(self) -> Iterator[float]:
        """Yield the pause before every further try."""
        for attempt in range(self.tries - 1):
            yield min(self.first_seconds * 2**attempt, self.longest_seconds)

    async def call(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Return the operation's result; the last error is raised when every try failed."""
        for pause in self.pauses():
            try:
                return await operation()
            except StoreError as error:
                if not may_pass(error):
                    raise
                _log.warning("backfill_retry", error=str(error), pause_seconds=pause)
            await asyncio.sleep(pause)
        return await operation()


def may_pass(error: StoreError) -> bool:
    """Say whether the same call may succeed later: no answer, or one that blames the server."""
    if isinstance(error, StoreAnswered):
        return error.code in _PASSING or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return True
