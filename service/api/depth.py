"""How deep a JSON text nests, found without parsing it.

Qdrant's parser (serde_json) gives up at 128 levels. A store that takes what it cannot give back later is worse than a
refusal, so the edge refuses at the same depth.
"""

import re

MOST_LEVELS = 127

_OPENING, _CLOSING = b"{[", b"}]"
_ALL_BUT_STRUCTURE = bytes(sorted(set(range(256)) - set(_OPENING + _CLOSING + b'"\\')))
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')


def is_too_deep(body: bytes) -> bool:
    """Say whether a well-formed JSON text has more than ``MOST_LEVELS`` levels of arrays and objects."""
    # Brackets in strings count here, too: that there are few says the same, and to count takes next to nothing.
    if body.count(b"{") + body.count(b"[") <= MOST_LEVELS:
        return False
    structure = body.translate(None, _ALL_BUT_STRUCTURE)
    if b"\\" in structure:
        # What a backslash escapes stands beside it only in the whole text.
        structure = _ESCAPED.sub(b"", body).translate(None, _ALL_BUT_STRUCTURE)
    depth = 0
    for bracket in _STRING.sub(b"", structure):
        depth += 1 if bracket in _OPENING else -1
        if depth > MOST_LEVELS:
            return True
    return False
