"""Decay functions of a formula: 1 at a difference of 0, the midpoint at a difference of one scale.

Source: lib/segment/src/index/query_optimization/rescore_formula/parsed_formula.rs and formula_scorer.rs in Qdrant.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

from service.errors import WrongInput
from service.queries.spelling import spelled

Decay: TypeAlias = Callable[[float], float]
"""From a difference to a factor in 0 … 1."""


def linear(midpoint: float, scale: float) -> Decay:
    """Return max(0, 1 - (1 - midpoint) / scale * |difference|). Raises ``WrongInput``."""
    if not 0 <= midpoint <= 1:
        raise WrongInput(
            "Validation failed: Linear decay midpoint should be in the range [0.0, 1.0], "
            f"got {spelled(midpoint)}."
        )
    _check(scale)
    slope = (1 - midpoint) / scale
    return lambda difference: max(0.0, -slope * abs(difference) + 1)


def exponential(midpoint: float, scale: float) -> Decay:
    """Return exp(ln(midpoint) / scale * |difference|). Raises ``WrongInput``."""
    slope = _log(midpoint, scale) / scale
    return lambda difference: math.exp(slope * abs(difference))


def gaussian(midpoint: float, scale: float) -> Decay:
    """Return exp(ln(midpoint) / scale² * difference²). Raises ``WrongInput``."""
    slope = _log(midpoint, scale) / (scale * scale)
    return lambda difference: math.exp(slope * difference * difference)


def _log(midpoint: float, scale: float) -> float:
    if not 0 < midpoint < 1:
        raise WrongInput(
            "Validation failed: Decay midpoint should be in the range (0.0, 1.0), "
            f"got {spelled(midpoint)}."
        )
    _check(scale)
    return math.log(midpoint)


def _check(scale: float) -> None:
    if not scale > 0:
        raise WrongInput(
            f"Validation failed: Decay scale should be non-zero positive, got {spelled(scale)}."
        )
