"""Collections by name and by pattern."""

import pytest

from service.patterns import named


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a[1]", ["a[1]"]),
        ("a[0-9]", ["a1"]),
        ("a*", ["a1", "a[1]"]),
        ("A1", []),
        ("?1", ["a1", "b1"]),
        ("", []),
    ],
)
def test_a_name_comes_before_a_pattern(pattern: str, found: list[str]) -> None:
    """So that a collection with brackets in its name can be asked for."""
    assert named(pattern, ["b1", "a[1]", "a1"]) == found
