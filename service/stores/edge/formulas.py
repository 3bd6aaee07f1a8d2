"""Qdrant's formulas as the engine's expressions.

Rule: nothing is left out; what the engine cannot express raises ``Unsupported`` with its path in the request.
"""

from collections.abc import Sequence
from typing import Any

import qdrant_edge as edge

from service.errors import Unsupported
from service.model.qdrant import (
    AbsExpression,
    AcoshExpression,
    DatetimeExpression,
    DatetimeKeyExpression,
    DecayParamsExpression,
    DivExpression,
    ExpDecayExpression,
    ExpExpression,
    Expression,
    Filter,
    GaussDecayExpression,
    GeoDistance,
    LinDecayExpression,
    LnExpression,
    Log10Expression,
    MaxExpression,
    MinExpression,
    MultExpression,
    NegExpression,
    PowExpression,
    SqrtExpression,
    SumExpression,
)
from service.stores.edge.booleans import BooleanMatches
from service.stores.edge.filters import engine_filter

_PATH = "query.formula"


def engine_formula(
    formula: Expression, defaults: dict[str, Any], booleans: BooleanMatches
) -> edge.Formula:
    """Return the engine's form of an expression with its default values."""
    return edge.Formula(_expression(formula, booleans), defaults)


def _all(given: Sequence[Expression], booleans: BooleanMatches) -> list[Any]:
    return [_expression(one, booleans) for one in given]


def _expression(given: Expression, booleans: BooleanMatches) -> Any:
    make = edge.Expression
    match given:
        case bool():
            raise Unsupported(_PATH, "holds a boolean")
        case int() | float():
            return make.Constant(float(given))
        case str():
            return make.Variable(given)
        case GeoDistance(geo_distance=wanted):
            origin = edge.GeoPoint(lon=wanted.origin.lon, lat=wanted.origin.lat)
            return make.GeoDistance(origin, wanted.to)
        case DatetimeExpression(datetime=moment):
            return make.Datetime(moment)
        case DatetimeKeyExpression(datetime_key=path):
            return make.DatetimeKey(path)
        case DivExpression(div=wanted):
            left, right = _all([wanted.left, wanted.right], booleans)
            return make.Div(left, right, wanted.by_zero_default)
        case PowExpression(pow=wanted):
            return make.Pow(*_all([wanted.base, wanted.exponent], booleans))
        case _:
            return _operation(given, booleans)


def _operation(given: Expression, booleans: BooleanMatches) -> Any:
    make = edge.Expression
    match given:
        case MultExpression(mult=some):
            return make.Mult(_all(some, booleans))
        case SumExpression(sum=some):
            return make.Sum(_all(some, booleans))
        case MaxExpression(max=some):
            return make.Max(_all(some, booleans))
        case MinExpression(min=some):
            return make.Min(_all(some, booleans))
        case NegExpression(neg=one):
            return make.Neg(_expression(one, booleans))
        case AbsExpression(abs=one):
            return make.Abs(_expression(one, booleans))
        case SqrtExpression(sqrt=one):
            return make.Sqrt(_expression(one, booleans))
        case ExpExpression(exp=one):
            return make.Exp(_expression(one, booleans))
        case Log10Expression(log10=one):
            return make.Log10(_expression(one, booleans))
        case LnExpression(ln=one):
            return make.Ln(_expression(one, booleans))
        case AcoshExpression(acosh=one):
            return make.Acosh(_expression(one, booleans))
        case _:
            return _decay_or_condition(given, booleans)


def _decay_or_condition(given: Any, booleans: BooleanMatches) -> Any:
    match given:
        case LinDecayExpression(lin_decay=wanted):
            return _decay(edge.DecayKind.Lin, wanted, booleans)
        case ExpDecayExpression(exp_decay=wanted):
            return _decay(edge.DecayKind.Exp, wanted, booleans)
        case GaussDecayExpression(gauss_decay=wanted):
            return _decay(edge.DecayKind.Gauss, wanted, booleans)
        case _:
            # What is left are the conditions: a filter of one, so that booleans are matched here, too.
            condition = engine_filter(Filter(must=[given]), _PATH, booleans)
            return edge.Expression.Condition(condition or edge.Filter())


def _decay(kind: Any, wanted: DecayParamsExpression, booleans: BooleanMatches) -> Any:
    return edge.Expression.Decay(
        kind,
        _expression(wanted.x, booleans),
        None if wanted.target is None else _expression(wanted.target, booleans),
        wanted.midpoint,
        wanted.scale,
    )
