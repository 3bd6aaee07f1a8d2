"""The text of a jsonb value as JSON for a client.

jsonb writes a number with all its digits: the float 1e300 as an integer of 301 digits, which most JSON parsers read as
an integer, and Qdrant writes 1e300. A float has at most 17 significant digits, and beyond 64 bits (20 digits) zeros
follow them.
"""

import re
from collections.abc import Sequence

import numpy as np
import orjson

# The pattern begins with fixed characters, which are found many times faster than a run of digits.
_LARGE = re.compile(rb"000(?<=[0-9]{20})[],}]")
_LIKE_DIGITS = 0x3030
_MANY = 16_384
"""Bytes from which it is faster to look for digits before zeros."""


def exact(texts: Sequence[bytes]) -> Sequence[bytes]:
    """Return the texts of objects, those with very large numbers written anew."""
    # One look at all of them: hardly any text has one.
    joined = b"".join(texts)
    if (len(joined) > _MANY and not _may_have_20_digits(joined)) or not _LARGE.search(joined):
        return texts
    return [orjson.dumps(orjson.loads(text)) if _LARGE.search(text) else text for text in texts]


def _may_have_20_digits(text: bytes) -> bool:
    """Say whether nine pairs of bytes one after another look like digits: 20 digits have them, whatever is before."""
    pairs = np.frombuffer(text, dtype=np.uint16, count=len(text) // 2)
    found = (pairs & 0xF0F0) == _LIKE_DIGITS
    for step in (1, 2, 4, 1):
        found = found[step:] & found[:-step]
    return bool(found.any())
