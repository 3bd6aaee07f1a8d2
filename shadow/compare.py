"""Comparing two answers to one search. Pure.

Neither store fixes the order of equal scores, nor which of several equal scores is cut off by the
limit, and both compute in float32 with sums in an order of their own. So scores are equal within
``EPSILON``, and an id that one side lacks is forgiven when its score equals the other's last one.
"""

from dataclasses import dataclass
from enum import StrEnum

from service.model.ids import PointId
from shadow.observation import Observation

EPSILON = 1e-5
"""Scores this close are equal, relative to the larger one, absolute below 1."""


class Outcome(StrEnum):
    """How a shadow read ended."""

    IDENTICAL = "identical"
    TIE_ORDER = "tie_order"
    """The same up to the order, or the choice, among equal scores."""
    SCORE = "score"
    """The same points, scored differently."""
    DIFFERING = "differing"
    IN_FLIGHT = "in_flight"
    """Ignored: the stores were not meant to be equal at that moment."""
    ERROR = "error"
    """The candidate failed or was too slow."""
    UNSUPPORTED = "unsupported"
    """The candidate cannot answer such a search, or its answers cannot be compared."""


COMPARED = frozenset({Outcome.IDENTICAL, Outcome.TIE_ORDER, Outcome.SCORE, Outcome.DIFFERING})
"""The outcomes that say something about parity; the others are counted apart."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers side by side.

    ``overlap`` is the share (0 … 1) of the longer list that both have; ``max_score_difference`` is
    absolute, over the ids in both. ``missing`` are the control's ids that the candidate lacks,
    ``extra`` the reverse; neither holds ids that are forgiven.
    """

    outcome: Outcome
    overlap: float
    max_score_difference: float
    missing: tuple[PointId, ...]
    extra: tuple[PointId, ...]


def compare(
    control: Observation, candidate: Observation, k: int, *, epsilon: float = EPSILON
) -> Comparison:
    """Compare the first ``k`` hits of two answered searches."""
    left = dict(zip(control.ids[:k], control.scores[:k], strict=True))
    right = dict(zip(candidate.ids[:k], candidate.scores[:k], strict=True))
    missing, missing_ties = _lacking(left, right, k, epsilon)
    extra, extra_ties = _lacking(right, left, k, epsilon)
    common = left.keys() & right.keys()
    longer = max(len(left), len(right))
    # A slot is shared only when both sides filled it with one of the equals.
    matched = len(common) + min(missing_ties, extra_ties)
    overlap = matched / longer if longer else 1.0
    return Comparison(
        outcome=_outcome(left, right, is_complete=matched == longer, epsilon=epsilon),
        overlap=overlap,
        max_score_difference=max((abs(left[i] - right[i]) for i in common), default=0.0),
        missing=missing,
        extra=extra,
    )


def _lacking(
    ours: dict[PointId, float], theirs: dict[PointId, float], k: int, epsilon: float
) -> tuple[tuple[PointId, ...], int]:
    """Return our ids that they lack for no reason, and how many they lack because of a tie."""
    lacking = [point_id for point_id in ours if point_id not in theirs]
    if len(theirs) < k:
        # They had room left: nothing was cut off.
        return tuple(lacking), 0
    cut = next(reversed(theirs.values()))
    unexplained = tuple(i for i in lacking if not equal_scores(ours[i], cut, epsilon))
    return unexplained, len(lacking) - len(unexplained)


def _outcome(
    left: dict[PointId, float], right: dict[PointId, float], *, is_complete: bool, epsilon: float
) -> Outcome:
    if not is_complete:
        return Outcome.DIFFERING
    common = left.keys() & right.keys()
    if not all(equal_scores(left[i], right[i], epsilon) for i in common):
        return Outcome.SCORE
    if list(left) == list(right):
        return Outcome.IDENTICAL
    by_rank = zip(left.values(), right.values(), strict=True)
    # Equal scores in every rank: only equals changed places. Otherwise one list is out of order.
    if all(equal_scores(ours, theirs, epsilon) for ours, theirs in by_rank):
        return Outcome.TIE_ORDER
    return Outcome.DIFFERING


def equal_scores(first: float, second: float, epsilon: float = EPSILON) -> bool:
    """Say whether two float32 scores are the same but for rounding."""
    return abs(first - second) <= epsilon * max(1.0, abs(first), abs(second))
