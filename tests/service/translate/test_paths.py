"""Qdrant's JSON paths."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import MalformedBody
from service.translate.letters import LETTERS
from service.translate.paths import elements_at, parse_path, spell
from tests.service.translate.letters_table import characters, is_taken, spans, table

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


@pytest.mark.parametrize(
    ("path", "spelled"),
    [('"a"', "a"), ('a."b c"[]', 'a."b c"[]'), ("a[007]", "a[7]"), ('""', '""'), ('"-_ß"', "-_ß")],
)
def test_a_path_has_one_spelling(path: str, spelled: str) -> None:
    """Qdrant's: quotes only where they are needed."""
    assert spell(parse_path(path)) == spelled


@pytest.mark.parametrize("path", ["", "a[", "[0]", "a..b", "a b", ".a"])
def test_what_is_no_path(path: str) -> None:
    """The caller is told."""
    with pytest.raises(MalformedBody, match="Invalid json path"):
        parse_path(path)


def _is_parsed(path: str) -> bool:
    try:
        parse_path(path)
    except MalformedBody:
        return False
    return True


def test_every_character_is_judged_as_by_the_engine() -> None:
    """All planes of Unicode: which characters need no quotes in a key."""
    ours = re.compile(f"[{LETTERS}]")
    assert " ".join(spans(each for each in characters() if ours.match(each))) == table()
    ascii_letters = [chr(point) for point in range(1, 0x80)]
    assert [each for each in ascii_letters if _is_parsed(each)] == [
        each for each in ascii_letters if is_taken(each)
    ]


def test_the_table_holds_all_that_python_knows_for_letters_and_digits() -> None:
    """A second source of it, though an older one."""
    ours = re.compile(f"[{LETTERS}]")
    known = [each for each in characters() if unicodedata.category(each)[0] in "LN"]
    assert len(known) > 100_000
    assert all(map(ours.match, known))


@given(path=st.text(st.sampled_from('ab0[]."\\ -_é̀'), max_size=9))
@example("a[18446744073709551615]")
@example("a[18446744073709551616]")
@example(f"a[{'0' * 5000}1]")
@example(f"a[{'1' * 5000}]")
@example('a."b.c"[0][].""')
def test_the_engine_takes_the_same_paths(path: str) -> None:
    """Any order of letters, brackets, dots and quotes."""
    assert _is_parsed(path) == is_taken(path), path
