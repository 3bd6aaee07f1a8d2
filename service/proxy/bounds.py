"""What one instance takes on at once: requests that are being answered, and bytes of request bodies in memory.

Rule: a refusal costs no more than the request's head. Nothing is read of its body, and no store is asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Overloaded, Refusal


class InFlight:
    """Requests that are being answered, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a request for the length of the block. Raises ``Overloaded``."""
        if self.count >= self._limit:
            message = f"{self._limit} requests are being answered, the most at once"
            raise Overloaded(message, Refusal.REQUESTS)
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave a counted request out while it waits in a queue that has a bound of its own.

        It is let in again without a question: refusing it now would throw away what it waited for.
        """
        self.count -= 1
        try:
            yield
        finally:
            self.count += 1


class Room:
    """Bytes of request bodies that are held in memory, at most ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Set bytes aside before they are read. Raises ``Overloaded``."""
        if self.held + size > self._limit:
            message = f"request bodies fill the {self._limit} bytes that may be held at once"
            raise Overloaded(message, Refusal.BODIES)
        self.held += size

    def give_back(self, size: int) -> None:
        """Give bytes free."""
        self.held -= size
