"""One request, its answer, and what the two answers must have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

NAME = "{c}"
"""Stands for the collection's name in paths and bodies."""


class Rule(StrEnum):
    """What must be equal. Numbers may always differ by what float32 sums differ in."""

    EXACT = "the result, value by value"
    RANKED = "scores in order; points of one score may change places, also at the cut"
    SET = "the points, in any order"
    ORDERED = "values of the order's field in order; points of one value may change places"
    SCORES = "the scores in order, whatever the points: sampled at random"
    SIZE = "the number of points only: sampled at random"
    STATUS = "the status only"
    GROUPS = "groups ranked by their best score, hits ranked inside"
    INFO = "the description of a collection without what indexing changes"
    MATRIX = "the points, and the scores of every point's neighbours"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request; ``{c}`` in path and body is the collection's name."""

    method: str
    path: str
    body: Any = None
    rule: Rule = Rule.EXACT


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and decoded body (the text where it is not JSON)."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the suite: requests on one data set, in order.

    Reads share the data set's collection; with ``writes`` the row has one of its own, whose whole contents are
    compared after every request. ``gap`` says why the answers are known to differ. ``unproven`` marks what Qdrant's
    engine does not do itself: there the other side is our own composition over the engine, or code both sides share.
    ``golden`` is how the error text of the server's 400 begins where the engine fails in another way.
    """

    name: str
    dataset: str
    asks: tuple[Ask, ...]
    writes: bool = False
    gap: str | None = None
    unproven: bool = False
    golden: str | None = None

    @property
    def is_marked(self) -> bool:
        """Whether the embedded engine proves nothing here."""
        return self.unproven or self.golden is not None


def named(ask: Ask, collection: str) -> Ask:
    """Return the request with the collection's name in it."""
    path, body = ask.path.replace(NAME, collection), _replaced(ask.body, collection)
    return Ask(ask.method, path, body, ask.rule)


def _replaced(value: Any, collection: str) -> Any:
    match value:
        case str():
            return value.replace(NAME, collection)
        case dict():
            return {key: _replaced(inner, collection) for key, inner in value.items()}
        case list():
            return [_replaced(inner, collection) for inner in value]
        case _:
            return value


def query(
    dataset: str,
    name: str,
    body: dict[str, Any],
    rule: Rule = Rule.RANKED,
    *,
    gap: str | None = None,
    golden: str | None = None,
) -> Row:
    """A universal query."""
    ask = Ask("POST", f"/collections/{NAME}/points/query", body, rule)
    return Row(name, dataset, (ask,), gap=gap, golden=golden)


def post(
    dataset: str,
    name: str,
    path: str,
    body: Any,
    rule: Rule = Rule.EXACT,
    *,
    gap: str | None = None,
    unproven: bool = False,
) -> Row:
    """A POST below the collection, such as ``points/scroll``."""
    ask = Ask("POST", f"/collections/{NAME}/{path}", body, rule)
    return Row(name, dataset, (ask,), gap=gap, unproven=unproven)


def get(
    dataset: str, name: str, path: str, *, gap: str | None = None, unproven: bool = False
) -> Row:
    """A GET of any path."""
    return Row(name, dataset, (Ask("GET", path),), gap=gap, unproven=unproven)


def script(
    dataset: str,
    name: str,
    asks: Sequence[Ask],
    *,
    gap: str | None = None,
    unproven: bool = False,
) -> Row:
    """Changes to a collection of the row's own."""
    return Row(name, dataset, tuple(asks), writes=True, gap=gap, unproven=unproven)
