"""The comparison itself: it must see what an application would see, and nothing else."""

from typing import Any

import pytest

from tests.parity.asks import Answer, Ask, Rule
from tests.parity.compare import difference


def _differ(rule: Rule, expected: Any, actual: Any, *, offset: int = 0) -> str | None:
    ask = Ask("POST", "/", {"offset": offset} if offset else {}, rule)
    answers = (
        Answer(200, {"result": one, "status": "ok", "time": 0.1}) for one in (expected, actual)
    )
    return difference(ask, *answers)


def _hits(*given: tuple[int, float]) -> dict[str, Any]:
    return {"points": [{"id": known, "score": score, "version": known} for known, score in given]}


@pytest.mark.parametrize(
    ("rule", "expected", "actual"),
    [
        (Rule.EXACT, {"a": [1, 0.1]}, {"a": [1, 0.1 + 1e-8]}),
        (Rule.EXACT, {"operation_id": 3}, {"operation_id": 7}),
        (Rule.RANKED, _hits((1, 2.0), (2, 1.0)), _hits((1, 2.000001), (2, 1.0))),
        (Rule.RANKED, _hits((1, 2.0), (2, 2.0), (3, 1.0)), _hits((2, 2.0), (1, 2.0), (3, 1.0))),
        (Rule.RANKED, _hits((1, 2.0), (2, 1.0)), _hits((1, 2.0), (5, 1.0))),
        (Rule.SET, _hits((1, 1.0), (2, 1.0)), _hits((2, 1.0), (1, 1.0))),
        (Rule.SIZE, _hits((1, 1.0)), _hits((2, 3.0))),
        (
            Rule.MATRIX,
            {"pairs": [{"a": 1, "b": 2, "score": 1.0}, {"a": 2, "b": 1, "score": 1.0}]},
            {"pairs": [{"a": 2, "b": 1, "score": 1.0}, {"a": 1, "b": 2, "score": 1.0}]},
        ),
    ],
    ids=str,
)
def test_equal(rule: Rule, expected: Any, actual: Any) -> None:
    """Ties may change places, also at the cut; float32 sums may differ in their last bits."""
    assert _differ(rule, expected, actual) is None


@pytest.mark.parametrize(
    ("rule", "expected", "actual"),
    [
        (Rule.EXACT, {"a": 1}, {"a": True}),
        (Rule.EXACT, {"a": 1}, {"a": 1, "b": None}),
        (Rule.EXACT, {"a": [1]}, {"a": [1, 1]}),
        (Rule.EXACT, {"a": 1}, {"a": "1"}),
        (Rule.EXACT, {"version": 3}, {"version": None}),
        (Rule.RANKED, _hits((1, 2.0), (2, 1.0)), _hits((2, 2.0), (1, 1.0))),
        (Rule.RANKED, _hits((1, 2.0), (2, 1.0)), _hits((1, 2.0), (2, 1.00003))),
        (Rule.RANKED, _hits((1, 2.0), (2, 1.0)), _hits((1, 2.0))),
        (Rule.RANKED, _hits((1, 2.0), (2, 2.0), (3, 1.0)), _hits((1, 2.0), (9, 2.0), (3, 1.0))),
        (Rule.RANKED, _hits((1, 1.0), (2, 1.0)), _hits((1, 1.0), (1, 1.0))),
        (Rule.SET, _hits((1, 1.0)), _hits((2, 1.0))),
        (Rule.SIZE, _hits((1, 1.0)), _hits()),
    ],
    ids=str,
)
def test_different(rule: Rule, expected: Any, actual: Any) -> None:
    """Another point, another score, another type, another number of points."""
    assert _differ(rule, expected, actual) is not None


def test_an_offset_cuts_a_tie_as_well() -> None:
    """Which of the points that tie were skipped is free."""
    expected, actual = _hits((1, 2.0), (3, 1.0), (4, 0.0)), _hits((2, 2.0), (3, 1.0), (4, 0.0))
    assert _differ(Rule.RANKED, expected, actual, offset=1) is None
    assert _differ(Rule.RANKED, expected, actual) is not None


def test_errors_are_compared_by_their_text() -> None:
    """The status alone says too little; the time says nothing."""
    ask = Ask("POST", "/")

    def refused(text: str, time: float) -> Answer:
        return Answer(400, {"status": {"error": text}, "time": time})

    assert difference(ask, refused("Wrong input: a", 0.1), refused("Wrong input: a", 0.2)) is None
    assert difference(ask, refused("Wrong input: a", 0.1), refused("Wrong input: b", 0.1))
    assert difference(ask, refused("a", 0.1), Answer(200, {"result": True, "status": "ok"}))
