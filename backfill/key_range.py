"""Ranges of the id space. Pure.

A range goes from a key to another; ids are compared by their 17-byte keys, whose order is Qdrant's scroll order, so one
list of boundaries holds dense and sparse integers, 64-bit ones and UUIDs alike. The boundaries of a job are drawn once
and stored: a resumed job never draws them anew, or it would leave out what lies between the old ones and the new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The keys from ``first`` (``None``: the lowest) up to but not including ``until`` (``None``: no end)."""

    first: bytes | None = None
    until: bytes | None = None

    def __contains__(self, key: bytes) -> bool:
        """Say whether the key lies in the range."""
        is_after_first = self.first is None or key >= self.first
        return is_after_first and (self.until is None or key < self.until)


def split(sample: Sequence[bytes], count: int) -> list[KeyRange]:
    """Return at most ``count`` ranges that cover every key, cut where the sample suggests equally many points.

    ``sample`` are keys of points drawn at random, in any order.
    """
    keys = sorted(set(sample))
    cuts = sorted({keys[len(keys) * at // count] for at in range(1, count)}) if keys else []
    edges: list[bytes | None] = [None, *cuts, None]
    return [KeyRange(first, until) for first, until in pairwise(edges)]
