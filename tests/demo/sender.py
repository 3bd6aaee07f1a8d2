"""Sends one client's requests: times them, and puts what goes wrong into the journal."""

import time
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from tests.demo.journal import Journal, Kind, Wrong

T = TypeVar("T")


class RequestFailed(Exception):
    """A request raised; it is in the journal already."""


class Sender:
    """One client's name on every entry of the journal."""

    def __init__(self, client: str, journal: Journal) -> None:
        self._client = client
        self._journal = journal

    async def send(self, request: str, answer: Awaitable[T]) -> T:
        """Return the answer. Raises ``RequestFailed`` for whatever the client library raises."""
        start = time.monotonic()
        try:
            return await answer
        except Exception as error:  # every exception that an application can meet is an error
            self.complain(request, [Wrong(Kind.EXCEPTION, f"{type(error).__name__}: {error}")])
            raise RequestFailed from error
        finally:
            self._journal.answered(time.monotonic() - start)

    def complain(self, request: str, wrongs: Iterable[Wrong]) -> None:
        """Keep what was wrong with the answer to a request."""
        for wrong in wrongs:
            self._journal.wrong(self._client, request, wrong)
