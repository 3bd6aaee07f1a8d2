"""Who reads from the target during ``ramp``. Sticky: the same tenant or collection always gets the same answer."""

import hashlib
import math
from collections.abc import Iterable


def _rank(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def tenant_moves(tenant: str, percent: int) -> bool:
    """Say whether this tenant's reads go to the target at ``percent`` (0 … 100)."""
    return _rank(tenant) % 100 < percent


def collection_moves(name: str, percent: int, ramping: Iterable[str]) -> bool:
    """Say whether a collection without a tenant reads from the target.

    The ramping collections are ranked by hash and the first ``percent`` % of the ranks move, rounded up, so that
    10 % of five collections moves one. Growing the percentage only ever adds collections.
    """
    ranked = sorted({*ramping, name}, key=_rank)
    return ranked.index(name) < math.ceil(len(ranked) * percent / 100)
