"""Which differences between two scores are put down to a point between two examples."""

from typing import Any

import pytest

from tests.parity.leaps import ALL, Scores, has_tie, rivals

PAIR = {"positive": [1.0, 0.0], "negative": 7}
FILTER = {"must": [{"key": "a", "match": {"value": 1}}]}


def _passing(filtered: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    return {"prefetch": [child], "query": {"formula": "$score"}, "limit": ALL, **filtered}


@pytest.mark.parametrize(
    ("one", "other", "is_distance"),
    [
        ([{1: 0.25}], [{1: 0.25000003}], False),
        ([{1: 0.25}, {1: 0.5}], [{1: 0.5}, {1: -3.0}], False),
        ([{1: 0.25}, {1: 0.5}], [{1: 0.25}, {1: 3.0}], True),
        ([{1: 9.0, 2: 0.5}], [{1: 0.0, 2: 0.5}], True),
    ],
)
def test_a_point_between_two_examples(
    one: list[Scores], other: list[Scores], *, is_distance: bool
) -> None:
    """Up to float32; of several examples only the nearest of each side counts."""
    assert has_tie(one, other, is_distance=is_distance)


@pytest.mark.parametrize(
    ("one", "other", "is_distance"),
    [
        ([{1: 0.25}], [{1: 0.25003}], False),
        ([{1: 0.25}, {1: 0.5}], [{1: 0.25}, {1: 0.3}], False),
        ([{1: 0.25}, {1: 0.5}], [{1: 0.5}, {1: 0.3}], True),
        ([{1: 0.5}], [{2: 0.5}], False),
        ([{1: 0.5}, {2: 0.5}], [{1: 0.5}], False),
    ],
)
def test_no_point_between_two_examples(
    one: list[Scores], other: list[Scores], *, is_distance: bool
) -> None:
    """Neither a difference, nor an example that is not the nearest, nor a point that only one side is compared with."""
    assert not has_tie(one, other, is_distance=is_distance)


def test_every_leaping_score_of_a_query_is_looked_at_where_it_stands() -> None:
    """Below prefetches, among the points that their filters leave."""
    discover = {"query": {"discover": {"target": 1, "context": [PAIR]}}, "using": "m", "limit": 3}
    query = {"query": {"fusion": "rrf"}, "filter": FILTER, "prefetch": [{"prefetch": discover}]}
    (found,) = rivals(query, lambda search: search)
    searches = [
        {"using": "m", "limit": ALL, "query": {"nearest": example}} for example in PAIR.values()
    ]
    asked = [_passing({"filter": FILTER}, _passing({}, search)) for search in searches]
    assert [found.one, found.other, found.using] == [asked[:1], asked[1:], "m"]


@pytest.mark.parametrize("strategy", ["average_vector", "sum_scores"])
def test_scores_that_do_not_leap_are_not_looked_at(strategy: str) -> None:
    """A rival excuses a difference: only those that decide alone are one."""
    wanted = {"positive": [1], "negative": [2]}
    assert list(rivals({"query": {"recommend": {**wanted, "strategy": "best_score"}}}, dict))
    assert not list(rivals({"query": {"recommend": {**wanted, "strategy": strategy}}}, dict))
    assert not list(rivals({"query": {"context": [PAIR]}}, dict))
