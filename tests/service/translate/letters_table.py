"""The engine's table of letters: ``python -m tests.service.translate.letters_table`` prints that of ``letters.py``."""

import textwrap
from collections.abc import Iterable, Iterator

import qdrant_edge as edge

_WIDTH = 116
_BEYOND_ASCII = 0x80
_SURROGATES = range(0xD800, 0xE000)
_END = 0x110000


def characters() -> Iterator[str]:
    """Yield all characters beyond ASCII."""
    points = (point for point in range(_BEYOND_ASCII, _END) if point not in _SURROGATES)
    yield from map(chr, points)


def is_taken(path: str) -> bool:
    """Say whether the engine takes a path."""
    try:
        edge.FieldCondition(key=path, is_empty=True)
    except ValueError:
        return False
    return True


def spans(letters: Iterable[str]) -> Iterator[str]:
    """Yield the runs of neighbours in ordered letters as ``first-last`` in hexadecimal, or as one number."""
    runs: list[list[int]] = []
    for point in map(ord, letters):
        if runs and point == runs[-1][1] + 1:
            runs[-1][1] = point
        else:
            runs.append([point, point])
    for first, last in runs:
        yield f"{first:x}" if first == last else f"{first:x}-{last:x}"


def table() -> str:
    """Return the spans of all letters that the engine takes."""
    return " ".join(spans(each for each in characters() if is_taken(each)))


if __name__ == "__main__":
    print("\n".join(textwrap.wrap(table(), _WIDTH, break_on_hyphens=False)))
