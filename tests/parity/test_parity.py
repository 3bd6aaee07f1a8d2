"""Every feature of the suite, and random filters; a known difference must still be one."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest

from tests.parity.asks import Row
from tests.parity.conftest import Running
from tests.parity.drawn import Found, conditions, worlds
from tests.parity.suite import all_rows, label

_WORLDS, _FILTERS = 5, 80
_EVERY = {"conditions": 7, "recommend": 4, "discover": 3, "mmr": 2}
"""Of the families that are every combination, ``make test`` takes one row in so many; ``make parity`` takes all."""


def _kept() -> Iterator[tuple[str, Row]]:
    for feature, rows in all_rows().items():
        every = _EVERY.get(feature, 1)
        yield from ((feature, row) for at, row in enumerate(rows) if at % every == 0)


_KEPT = list(_kept())


def _chosen(feature: str) -> list[Row]:
    return [row for kept, row in _KEPT if kept == feature and row.gap is None]


def _differences(both: Running, feature: str, rows: Sequence[Row]) -> list[str]:
    found = ((label(feature, row), both.run(row)) for row in rows)
    return [f"{name}\n    " + "\n    ".join(lines) for name, lines in found if lines]


@pytest.mark.parametrize("feature", all_rows())
def test_answers_are_equal(both: Running, feature: str) -> None:
    """The whole API on Postgres answers what Qdrant answers."""
    found = _differences(both, feature, _chosen(feature))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("feature", "row"),
    [
        pytest.param(
            feature,
            row,
            marks=pytest.mark.xfail(reason=row.gap, strict=True),
            id=label(feature, row),
        )
        for feature, row in _KEPT
        if row.gap is not None
    ],
)
def test_known_gaps(both: Running, feature: str, row: Row) -> None:
    """A gap that is none any more fails here: take it out of the table and of docs/limits.md."""
    found = _differences(both, feature, [row])
    assert not found, "\n".join(found)


def test_random_filters(both: Running) -> None:
    """Filters that nobody thought of, on payloads and indexes that nobody thought of."""
    found, rng = Found(), Random(1)
    for world in worlds(_WORLDS, rng):
        both.try_filters(world, conditions(_FILTERS, rng), found)
    assert not found.differences, "\n".join(found.differences)
    assert found.compared > _WORLDS * _FILTERS // 2
    assert found.matches > found.compared, "hardly any filter matches anything: the search is blind"
