"""Signatures of documents."""

import hmac
from hashlib import sha256

import orjson
import pytest

from backfill.signature import Verdict, signed, verdict
from tests.backfill.documents import receipt_of

KEY = b"a key of the operator"


def test_a_signed_document_is_valid_after_any_trip_through_json() -> None:
    """Indented, with its keys in another order, with the largest id."""
    document = signed(receipt_of(2**64 - 1, "00000000-0000-0000-0000-000000000001").to_json(), KEY)
    turned = dict(reversed(document.items()))
    again = orjson.loads(orjson.dumps(turned, option=orjson.OPT_INDENT_2))
    assert verdict(again, KEY) is Verdict.VALID
    assert signed(again, KEY) == document


def test_the_form_that_is_signed_is_the_documented_one() -> None:
    """HMAC-SHA256 of the JSON with sorted keys and no spaces, without the signature."""
    document = signed({"b": 1, "a": "ü"}, KEY)
    expected = hmac.new(KEY, '{"a":"ü","b":1}'.encode(), sha256).hexdigest()
    assert document["signature"] == {
        "algorithm": "HMAC-SHA256",
        "key": hmac.new(KEY, b"vecferry receipt key", sha256).hexdigest()[:16],
        "value": expected,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"clean": True}, {"differing": 0}, {"differing_ids": []}, {"more": 1}, {"ranges": []},
        {"signature": {"algorithm": "none", "key": "", "value": ""}}, {"signature": "x"},
    ],
)  # fmt: skip
def test_a_changed_document_is_not_valid(change: dict[str, object]) -> None:
    """Whatever is changed, added or taken away."""
    document = signed(receipt_of(1).to_json(), KEY)
    assert verdict({**document, **change}, KEY) in {Verdict.CHANGED, Verdict.OTHER_KEY}
    for name in document.keys() - {"signature"}:
        fewer = {key: value for key, value in document.items() if key != name}
        assert verdict(fewer, KEY) is Verdict.CHANGED


def test_another_key_and_no_signature_are_told_apart() -> None:
    """Neither is valid."""
    document = receipt_of().to_json()
    assert verdict(document, KEY) is Verdict.UNSIGNED
    assert verdict(signed(document, b"other"), KEY) is Verdict.OTHER_KEY
