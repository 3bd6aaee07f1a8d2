"""Checked access to parsed JSON."""

from collections.abc import Callable

import pytest

from service.api.qdrant.reading import as_object, loads, required, required_list
from service.errors import MalformedBody


def test_what_is_there_is_returned() -> None:
    """Values of the right kind come back as they are."""
    fields = as_object(loads(b'{"ids": [1], "none": null}'))
    assert required_list(fields, "ids") == [1]
    assert required(fields, "none") is None
    assert loads(b"[" * 127 + b"]" * 127)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda: loads(b"{nan: NaN}"), "line 1 column"),
        (lambda: loads(b"[" * 128 + b"]" * 128), "recursion limit exceeded"),
        (lambda: as_object([], ("a", 0)), "a[0]: expected an object"),
        (lambda: required({}, "x", ("a",)), "a: missing field `x`"),
        (lambda: required_list({"x": 1}, "x"), "x: expected a list"),
    ],
)
def test_what_is_not_is_named(read: Callable[[], object], text: str) -> None:
    """Everything else is a matter of format, with its place."""
    with pytest.raises(MalformedBody) as caught:
        read()
    assert text in str(caught.value)
