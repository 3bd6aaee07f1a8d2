"""Which way a search goes: through the HNSW index, or over all points that may be answered.

The graph finds the best points of a filter by walking on from point to point until enough of them match: about
``depth / share`` points. The scan computes the distance of every point that matches. Costs are in microseconds, as
measured at 384 dimensions; only their quotients matter here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

MOST_EF = 1_000
"""pgvector's bound on ``hnsw.ef_search``."""
_EF = 100
# Twice the depth, where the caller does not say how wide to search, keeps the recall of deep searches above 0.99.
_EF_PER_DEPTH = 2

_GRAPH_MICROSECONDS = 700.0
_WALKED_MICROSECONDS = 18.0
_MATCH_MICROSECONDS = 5.0
_TESTED_MICROSECONDS = 0.6
# Measured at 100,000 points, best 10: recall 0.995 where 200 points are walked, 0.92 to 0.95 where 500 are.
# The bound lies between the two so that an estimate (see estimates.py) hardly ever takes one for the other.
_RELIABLE_WALK = 250.0
_EXACT_PREFERENCE = 1.5
_EXACT_PATIENCE = 20.0
_SPARE_WALKS = 10
_LEAST_WALK = 2_000
_MOST_COLLECTED = 50_000


class Reason(StrEnum):
    """Why a plan was chosen."""

    ASKED = "the request wants exact results"
    GIVEN = "the request names the points that may be answered"
    NO_INDEX = "the vectors have no index"
    TOO_DEEP = "more hits are wanted than the index finds at once"
    FEW = "few points match the filter"
    CHEAPER = "the scan of what matches costs less"
    DOUBTFUL = "the index might miss hits"
    UNFILTERED = "every point may be answered"
    MANY = "enough points match the filter"
    SHORT = "the index found too few"
    UNAFFORDABLE = "too many points to test the filter on each"


@dataclass(frozen=True, slots=True)
class Scan:
    """Distances of all points that match.

    Where they are ``collected``, their keys are found first and their vectors read in the order of the keys: in half
    the time, but the keys must fit into memory.
    """

    reason: Reason
    collected: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """The HNSW index with ``ef`` candidates at a time, giving up after ``walk`` points."""

    reason: Reason
    ef: int
    walk: int


Plan: TypeAlias = Scan | Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What decides. ``depth`` is how many of the best points must be found, ``ef`` what the request says."""

    depth: int
    ef: int | None = None
    is_exact: bool = False
    is_among: bool = False
    is_filtered: bool = False


def settled(question: Question) -> Plan | None:
    """Return the plan that needs no knowledge of the data, ``None`` where the filter decides.

    A graph is for vectors that have an index.
    """
    if question.is_exact:
        return Scan(Reason.ASKED)
    if question.is_among:
        return Scan(Reason.GIVEN)
    if question.depth >= MOST_EF:
        return Scan(Reason.TOO_DEEP)
    if question.is_filtered:
        return None
    return Graph(Reason.UNFILTERED, _ef(question, question.depth), _walk(question.depth))


def by_share(question: Question, share: float, points: int, *, is_served: bool) -> Plan:
    """Return the plan for a filter that a share (0 … 1) of so many points matches.

    ``is_served`` says that payload indexes find the points that match; otherwise every point is tested.
    """
    matches = share * points
    collected = is_served and matches <= _MOST_COLLECTED
    if matches <= question.depth:
        return Scan(Reason.FEW, collected)
    tested = 0.0 if is_served else points * _TESTED_MICROSECONDS
    scan = matches * _MATCH_MICROSECONDS + tested
    walk = question.depth / share
    graph = _GRAPH_MICROSECONDS + walk * _WALKED_MICROSECONDS
    if scan <= graph * _EXACT_PREFERENCE:
        return Scan(Reason.CHEAPER, collected)
    wide = Graph(Reason.MANY, _ef(question, int(walk)), _walk(walk))
    if walk <= max(_RELIABLE_WALK, _EF_PER_DEPTH * question.depth):
        return wide
    if scan <= graph * _EXACT_PATIENCE:
        return Scan(Reason.DOUBTFUL, collected)
    return Graph(Reason.UNAFFORDABLE, MOST_EF, wide.walk)


def _ef(question: Question, walk: int) -> int:
    wanted = question.ef or max(_EF, _EF_PER_DEPTH * question.depth, walk)
    return min(max(question.depth + 1, wanted), MOST_EF)


def _walk(expected: float) -> int:
    return max(_LEAST_WALK, int(expected * _SPARE_WALKS))
