"""Scores that leap: which of two examples a point is more like decides, however little more that is.

Discovery counts pairs, ``best_score`` changes the sign. A point that is as like to the one as to the other, up to the
last digits of float32, may get either score.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.parity.compare import agree
from tests.parity.query_worlds import COUNT

ALL = 2 * COUNT
"""A limit that no list reaches."""
_OF_SEARCH = ("prefetch", "using", "filter", "params", "lookup_from")

Wrap = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes a request for what a node of a query finds out of the node."""
Scores = Mapping[Any, float]
"""From the ids of points to their scores for an example."""


@dataclass(frozen=True, slots=True)
class Rivals:
    """Searches for the examples on two sides; the better similarities of both sides are weighed against each other."""

    one: Sequence[dict[str, Any]]
    other: Sequence[dict[str, Any]]
    using: str


def rivals(node: Mapping[str, Any], wrap: Wrap) -> Iterator[Rivals]:
    """Yield what is weighed against each other in a query and in the prefetches below it."""
    shared = {key: node[key] for key in _OF_SEARCH if key in node} | {"limit": ALL}

    def searches(examples: Sequence[Any]) -> list[dict[str, Any]]:
        return [wrap({**shared, "query": {"nearest": example}}) for example in examples]

    for liked, disliked in _sides(node.get("query")):
        yield Rivals(searches(liked), searches(disliked), node.get("using", ""))
    for branch in branches(node):
        yield from rivals(branch, below(node, wrap))


def _sides(query: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    match query:
        case {"discover": {"context": [*pairs]}}:
            yield from (([pair["positive"]], [pair["negative"]]) for pair in pairs)
        case {"recommend": {"strategy": "best_score", "positive": [_, *_], "negative": [_, *_]}}:
            wanted = query["recommend"]
            yield wanted["positive"], wanted["negative"]
        case _:
            return


def branches(node: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Return a node's prefetches."""
    given = node.get("prefetch", [])
    return given if isinstance(given, list) else [given]


def below(node: Mapping[str, Any], wrap: Wrap) -> Wrap:
    """Return how requests are made of what stands in a node's prefetch, for the points that the node lets pass."""
    return lambda child: wrap(passed(node, child))


def passed(node: Mapping[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """Return a node that passes its only branch on, with the same filter."""
    made = {"prefetch": [child], "query": {"formula": "$score"}, "limit": ALL}
    return {**made, "filter": node["filter"]} if "filter" in node else made


def has_tie(one: Sequence[Scores], other: Sequence[Scores], *, is_distance: bool) -> bool:
    """Say whether a point is as like to the best example of one side as to the best one of the other."""
    better = min if is_distance else max
    mine, theirs = (_best(side, better) for side in (one, other))
    return any(agree(mine[known], theirs[known]) for known in mine.keys() & theirs)


def _best(side: Sequence[Scores], better: Callable[[Iterator[float]], float]) -> dict[Any, float]:
    common = set[Any].intersection(*(set(scores) for scores in side))
    return {known: better(scores[known] for scores in side) for known in common}
