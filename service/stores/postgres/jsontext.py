"""The text of a jsonb value as JSON for a client.

jsonb writes a number with all its digits: the float 1e300 as an integer of 301 digits, which most JSON parsers read as
an integer, and Qdrant writes 1e300. A float has at most 17 significant digits, and beyond 64 bits (20 digits) zeros
follow them.
"""

import re
from collections.abc import Sequence

import orjson

# The pattern begins with fixed characters, which are found many times faster than a run of digits.
_LARGE = re.compile(rb"000(?<=[0-9]{20})[],}]")


def exact(texts: Sequence[bytes]) -> Sequence[bytes]:
    """Return the texts of objects, those with very large numbers written anew."""
    # One look at all of them: hardly any text has one.
    if not _LARGE.search(b"".join(texts)):
        return texts
    return [orjson.dumps(orjson.loads(text)) if _LARGE.search(text) else text for text in texts]
