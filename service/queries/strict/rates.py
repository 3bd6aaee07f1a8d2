"""Limits on operations per minute: a bucket of tokens for each collection and each kind of operation.

A bucket holds as many tokens as the limit, begins full, and fills up at that many a minute. Every instance has its own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil

from service.errors import RateLimited

_MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    """Tokens of one limit; ``at`` is when they were counted."""

    capacity: int
    tokens: float
    at: float

    def take(self, cost: int, now: float) -> float | None:
        """Take tokens, or return the seconds until there are enough."""
        rate = self.capacity / _MINUTE
        self.tokens = min(self.capacity, self.tokens + (now - self.at) * rate)
        self.at = now
        if cost > self.tokens:
            return (cost - self.tokens) / rate
        self.tokens -= cost
        return None


@dataclass(slots=True)
class Rates:
    """The buckets of one instance."""

    clock: Callable[[], float] = time.monotonic
    buckets: dict[tuple[str, str], Bucket] = field(default_factory=dict)

    def take(self, collection: str, kind: str, limit: int | None, cost: int) -> None:
        """Count an operation of this kind, ``Read`` or ``Write``. Raises ``RateLimited``."""
        if limit is None:
            self.buckets.pop((collection, kind), None)
            return
        if cost > limit:
            reason = (
                f"{kind} rate limit exceeded, request larger than rate limiter capacity, "
                "please try to split your request"
            )
            raise RateLimited(reason, None)
        now = self.clock()
        bucket = self.buckets.get((collection, kind))
        if bucket is None or bucket.capacity != limit:
            bucket = self.buckets[collection, kind] = Bucket(limit, limit, now)
        wait = bucket.take(cost, now)
        if wait is not None:
            reason = (
                f"{kind} rate limit exceeded: Operation requires {cost} tokens "
                f"but only {bucket.tokens:.1f} were available. Retry after {ceil(wait)}s"
            )
            raise RateLimited(reason, wait)
