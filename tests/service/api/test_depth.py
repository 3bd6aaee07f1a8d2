"""How deep a JSON text nests."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.depth import MOST_LEVELS, is_too_deep


@pytest.mark.parametrize("around", ["[{}]", '{{"a":{}}}'])
def test_the_limit_is_exact(around: str) -> None:
    """127 levels pass, one more does not."""
    text = "1"
    for _ in range(MOST_LEVELS):
        text = around.format(text)
    assert not is_too_deep(text.encode())
    assert is_too_deep(around.format(text).encode())


@given(
    st.recursive(
        st.text('[]{}"\\a') | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\a'), inner),
    ),
    st.integers(MOST_LEVELS - 3, MOST_LEVELS + 3),
)
def test_brackets_in_strings_do_not_count(inner: Any, levels: int) -> None:
    """Whatever is written in keys and values, the depth is that of the value."""
    value = inner
    for _ in range(levels):
        value = [value, "]" * 200, '\\"[' * 200]
    assert is_too_deep(orjson.dumps(value)) == (_depth(inner) + levels > MOST_LEVELS)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
