"""The text of a jsonb value as JSON for a client.

jsonb writes a number with all its digits: the float 1e300 as an integer of 301 digits, which most JSON parsers read as
an integer, and Qdrant writes 1e300. A float has at most 17 significant digits, and beyond 64 bits zeros follow them.
"""

import re
from collections.abc import Sequence

import orjson

_TRAILING_ZEROS = b"000"
_LONG_NUMBER = re.compile(rb"[0-9]{20}")


def exact(texts: Sequence[bytes]) -> Sequence[bytes]:
    """Return the texts, those with very large numbers written anew."""
    # One look at all of them: hardly any text has one.
    if _TRAILING_ZEROS not in b"".join(texts):
        return texts
    return [_anew(text) for text in texts]


def _anew(text: bytes) -> bytes:
    if _TRAILING_ZEROS in text and _LONG_NUMBER.search(text):
        return orjson.dumps(orjson.loads(text))
    return text
