"""Scores made of the similarities to several examples, in float32 and in Qdrant's order of operations. Pure.

Sources: Qdrant's lib/segment/src/vector_storage/query/ reco_query.rs, discover_query.rs, context_query.rs and
feedback_query.rs, lib/common/common/src/math.rs.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import TypeAlias, assert_never

import numpy as np

from service.model.points import VectorValue
from service.model.queries import (
    BestScore,
    Context,
    Discover,
    Feedback,
    Nearest,
    Pair,
    SumScores,
    VectorScoring,
)
from service.translate.sql import Argument, Sql, join, sql

Similarity: TypeAlias = Callable[[VectorValue], Sql]
"""The column (``real``) with the similarities to an example."""

_ZERO = sql("0::real")
_NOTHING = sql("'-Infinity'::real")
_MARGIN = sql("'1.1920929e-07'::real")
"""The distance from 1 to the next float32."""


def custom_score(scoring: VectorScoring, similarity: Similarity) -> Sql:
    """Return the score (``real``, larger is better) of a row; NaN where Qdrant has no answer."""
    match scoring:
        case Nearest(vector):
            return similarity(vector)
        case BestScore(positives, negatives):
            return _best(_best_of(positives, similarity), _best_of(negatives, similarity))
        case SumScores(positives, negatives):
            return sql(
                "(", _sum(map(similarity, positives)), " - ", _sum(map(similarity, negatives)), ")"
            )
        case Discover(target, pairs):
            ranks = (_rank(pair, similarity) for pair in pairs)
            return sql("(", _sum(ranks), " + ", _sigmoid(similarity(target)), ")")
        case Context(pairs):
            return _sum(_loss(pair, similarity) for pair in pairs)
        case Feedback():
            return _feedback(scoring, similarity)
        case _:
            assert_never(scoring)


def _best_of(examples: Sequence[VectorValue], similarity: Similarity) -> Sql:
    if not examples:
        return _NOTHING
    return sql("greatest(", join(", ", map(similarity, examples)), ")")


def _best(positive: Sql, negative: Sql) -> Sql:
    wins = sql("CASE WHEN ", positive, " > ", negative, " THEN ")
    return sql(wins, _sigmoid(positive), " ELSE -", _sigmoid(negative), " END")


def _rank(pair: Pair, similarity: Similarity) -> Sql:
    positive, negative = map(similarity, pair)
    return sql(
        "CASE WHEN ",
        positive,
        " > ",
        negative,
        " THEN 1::real WHEN ",
        positive,
        " < ",
        negative,
        " THEN -1::real ELSE 0::real END",
    )


def _loss(pair: Pair, similarity: Similarity) -> Sql:
    positive, negative = map(similarity, pair)
    short = sql("least(", positive, " - ", negative, " - ", _MARGIN, ", ", _ZERO, ")")
    return _fast_sigmoid(short)


def _feedback(scoring: Feedback, similarity: Similarity) -> Sql:
    """Every two examples that somebody judged differently pull towards the better one."""
    examples = sorted(scoring.examples, key=lambda example: -example[1])
    terms = [sql(_real(scoring.a), " * ", similarity(scoring.target))]
    for (better, high), (worse, low) in combinations(examples, 2):
        confidence = np.float32(high) - np.float32(low)
        if confidence <= 0:
            continue
        weight = confidence ** np.float32(scoring.b) * np.float32(scoring.c)
        delta = sql("(", similarity(better), " - ", similarity(worse), ")")
        terms.append(sql(_real(float(weight)), " * ", delta))
    return _sum(terms)


def _sum(terms: Iterable[Sql]) -> Sql:
    listed = list(terms)
    return sql("(", join(" + ", listed), ")") if listed else _ZERO


def _fast_sigmoid(x: Sql) -> Sql:
    """Return x / (1 + |x|)."""
    return sql("(", x, " / (1::real + abs(", x, ")))")


def _sigmoid(x: Sql) -> Sql:
    """Return the fast sigmoid, scaled to 0 … 1."""
    return sql("(0.5::real * (", _fast_sigmoid(x), " + 1::real))")


def _real(value: float) -> Sql:
    return sql(Argument(value), "::real")
