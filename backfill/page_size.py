"""How many points the next page asks for: pages of a few megabytes, whatever a point weighs. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from backfill.jobs import Orders
from service.model.points import Point, SparseVector

_FIRST_POINTS = 32
"""Before anything was weighed: even of the widest vectors this is not many megabytes."""
_GROWTH = 8
"""So much larger than the last page may one be, for points differ."""
_LIMITED_SECONDS = 5.0
"""Under an operator's limit a page is worth so much time at most: a new limit is soon in force."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """What a page may hold; an operator's ``page_bytes`` goes before these ``bytes``."""

    points: int = 1_000
    bytes: int = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PageWeight:
    """The last page that was read."""

    points: int
    bytes: int


def page_size(limits: PageLimits, orders: Orders, last: PageWeight | None) -> int:
    """Return how many points to ask for, at least one."""
    most = limits.points
    if orders.options.points_per_second is not None:
        share = orders.options.points_per_second / orders.workers * _LIMITED_SECONDS
        most = min(most, math.ceil(share))
    if last is None or last.points == 0:
        return max(1, min(most, _FIRST_POINTS))
    wanted_bytes = orders.options.page_bytes or limits.bytes
    fitting = wanted_bytes * last.points // max(1, last.bytes)
    return max(1, min(most, fitting, last.points * _GROWTH))


def weight(points: Iterable[Point]) -> PageWeight:
    """Return what the points hold: vectors as numbers, payloads as JSON texts."""
    count, total = 0, 0
    for point in points:
        count += 1
        total += len(orjson.dumps(point.payload))
        for vector in point.vectors.values():
            if isinstance(vector, SparseVector):
                total += vector.indices.nbytes + vector.values.nbytes
            else:
                total += vector.nbytes
    return PageWeight(count, total)
