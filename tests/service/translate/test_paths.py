"""Qdrant's JSON paths."""

import pytest

from service.errors import MalformedBody
from service.translate.paths import elements_at, parse_path, spell

PAYLOAD = {
    "a": {"b": 1, "c.d": 2},
    "l": [{"x": 1}, {"x": [2, 3]}, 7],
    "ll": [[1, 2], 3],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.b", [1]),
        ('a."c.d"', [2]),
        ("a.z", []),
        ("l.x", []),
        ("l[].x", [1, 2, 3]),
        ("l[0].x", [1]),
        ("l[9]", []),
        ("a[0]", []),
        ("ll", [[1, 2], 3]),
        ("ll[]", [1, 2, 3]),
    ],
)
def test_values_a_match_sees(path: str, expected: list[object]) -> None:
    """Keys do not step into arrays, brackets do; an array at the end counts element by element."""
    assert list(elements_at(PAYLOAD, parse_path(path))) == expected


@pytest.mark.parametrize("path", ["a", "a[].b[0].c", '"a.b"[][]."c d"', "ß-1_x"])
def test_a_path_is_spelled_so_that_it_is_read_back(path: str) -> None:
    """Whatever its spelling was."""
    assert parse_path(spell(parse_path(path))) == parse_path(path)


@pytest.mark.parametrize("path", ["", "a[", "[0]", "a..b", "a b", ".a"])
def test_what_is_no_path(path: str) -> None:
    """The caller is told."""
    with pytest.raises(MalformedBody, match="Invalid json path"):
        parse_path(path)
