"""Signatures of documents: HMAC-SHA256 (RFC 2104) over their canonical JSON. Pure.

Canonical is: UTF-8, keys sorted, no spaces, integers and texts only; the member ``signature`` is left out.
Whoever has the key can sign, so a signature shows that a document was not changed since by somebody without it.
"""

import hmac
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256

import orjson

ALGORITHM = "HMAC-SHA256"
_MEMBER = "signature"
_KEY_NAME = b"vecferry receipt key"


class Verdict(StrEnum):
    """What a look at a document's signature says."""

    VALID = "valid"
    CHANGED = "changed"
    UNSIGNED = "unsigned"
    OTHER_KEY = "signed with another key"


def signed(document: Mapping[str, object], key: bytes) -> dict[str, object]:
    """Return the document with its signature; one that it had is replaced."""
    body = _body(document)
    signature = {"algorithm": ALGORITHM, "key": key_name(key), "value": _mac(body, key)}
    return {**body, _MEMBER: signature}


def verdict(document: Mapping[str, object], key: bytes) -> Verdict:
    """Say whether the document is as it was when somebody signed it with this key."""
    match document.get(_MEMBER):
        case None:
            return Verdict.UNSIGNED
        case {"algorithm": str(algorithm), "key": str(name), "value": str(value)}:
            pass
        case _:
            return Verdict.CHANGED
    if algorithm == ALGORITHM and hmac.compare_digest(
        value.encode(), _mac(_body(document), key).encode()
    ):
        return Verdict.VALID
    return Verdict.CHANGED if name == key_name(key) else Verdict.OTHER_KEY


def key_name(key: bytes) -> str:
    """Return a short name of a key, from which nothing of it can be learnt."""
    return hmac.new(key, _KEY_NAME, sha256).hexdigest()[:16]


def _body(document: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in document.items() if name != _MEMBER}


def _mac(body: Mapping[str, object], key: bytes) -> str:
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hmac.new(key, text, sha256).hexdigest()
