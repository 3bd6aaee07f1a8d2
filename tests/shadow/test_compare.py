"""Comparing two answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.ids import PointId
from shadow.compare import EPSILON, Outcome, compare
from shadow.observation import Observation

Answer = list[tuple[PointId, float]]


def seen(*hits: tuple[PointId, float]) -> Observation:
    """Return an observation of these hits."""
    return Observation(tuple(i for i, _ in hits), tuple(s for _, s in hits), seconds=0.0)


@st.composite
def answers(draw: st.DrawFn, limit: int = 6) -> Observation:
    """Up to ``limit`` distinct ids with scores from a few values, best first."""
    ids = draw(st.lists(st.integers(0, 9), unique=True, max_size=limit))
    scores = draw(st.lists(st.sampled_from([0.9, 0.5, 0.1]), min_size=len(ids), max_size=len(ids)))
    return seen(*zip(ids, sorted(scores, reverse=True), strict=True))


@given(answers(), answers())
def test_overlap_is_symmetric(one: Observation, other: Observation) -> None:
    """It does not matter which side answered the client."""
    there, back = compare(one, other, 6), compare(other, one, 6)
    assert there.overlap == back.overlap
    assert there.outcome is back.outcome
    assert (there.missing, there.extra) == (back.extra, back.missing)
    assert 0.0 <= there.overlap <= 1.0


@given(answers())
def test_an_answer_is_identical_to_itself(answer: Observation) -> None:
    """The same answer overlaps wholly and differs in nothing."""
    same = compare(answer, answer, 6)
    assert (same.outcome, same.overlap, same.max_score_difference) == (Outcome.IDENTICAL, 1.0, 0.0)


@given(answers(), st.randoms(use_true_random=False))
def test_equals_may_change_places(answer: Observation, rng: object) -> None:
    """Any order among equal scores is tie order, never a difference."""
    hits = list(zip(answer.ids, answer.scores, strict=True))
    rng.shuffle(hits)  # type: ignore[attr-defined]
    hits.sort(key=lambda hit: -hit[1])
    again = compare(answer, seen(*hits), 6)
    assert again.outcome in {Outcome.IDENTICAL, Outcome.TIE_ORDER}
    assert again.overlap == 1.0


def test_the_cut_may_fall_anywhere_among_equals() -> None:
    """An id that lost its place to an equal score at the limit counts as matched."""
    cut = compare(seen((1, 0.9), (2, 0.5)), seen((1, 0.9), (3, 0.5)), 2)
    assert (cut.outcome, cut.overlap, cut.missing, cut.extra) == (Outcome.TIE_ORDER, 1.0, (), ())


def test_a_shorter_answer_lost_its_hits_for_no_reason() -> None:
    """Without a cut there is no tie to forgive: a truncated list differs."""
    short = compare(seen((1, 0.5), (2, 0.5)), seen((1, 0.5)), 2)
    assert (short.outcome, short.overlap, short.missing) == (Outcome.DIFFERING, 0.5, (2,))


def test_a_better_hit_that_is_missing_is_a_difference() -> None:
    """An id whose score is above the other side's last one should have been found."""
    lost = compare(seen((1, 0.9), (2, 0.5)), seen((2, 0.5), (3, 0.1)), 2)
    assert (lost.outcome, lost.overlap) == (Outcome.DIFFERING, 0.5)
    assert (lost.missing, lost.extra) == ((1,), (3,))


def test_other_scores_for_the_same_points() -> None:
    """The same ids with scores further apart than rounding explains are told apart."""
    scored = compare(seen((1, 0.9), (2, 0.5)), seen((1, 0.9), (2, 0.4)), 2)
    assert scored.outcome is Outcome.SCORE
    assert scored.overlap == 1.0
    assert scored.max_score_difference == pytest.approx(0.1)


@pytest.mark.parametrize(("score", "factor", "outcome"), [
    (0.5, 0.5, Outcome.IDENTICAL),
    (0.5, 3.0, Outcome.SCORE),
    (1e4, 0.5, Outcome.IDENTICAL),
    (1e4, 3.0, Outcome.SCORE),
])  # fmt: skip
def test_epsilon_is_relative_above_one(score: float, factor: float, outcome: Outcome) -> None:
    """Large scores may differ by more, in proportion; small ones by the absolute epsilon."""
    off = score + factor * EPSILON * max(1.0, score)
    assert compare(seen((1, score)), seen((1, off)), 1).outcome is outcome


def test_a_list_out_of_order_differs() -> None:
    """Equal ids and scores do not excuse an answer that is not best first."""
    disorder = compare(seen((1, 0.9), (2, 0.5)), seen((2, 0.5), (1, 0.9)), 2)
    assert disorder.outcome is Outcome.DIFFERING


def test_only_the_first_k_count() -> None:
    """What a side returned beyond the limit is not looked at."""
    answer = compare(seen((1, 0.9), (2, 0.5)), seen((1, 0.9), (3, 0.2)), 1)
    assert answer.outcome is Outcome.IDENTICAL
