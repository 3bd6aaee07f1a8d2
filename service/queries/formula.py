"""Formulas: expressions over the scores and the payload of points that other queries found.

Computed in float64; constants, ``by_zero_default``, ``midpoint`` and ``scale`` are float32 on the wire. Source:
lib/shard/src/query/formula.rs and lib/segment/src/index/query_optimization/rescore_formula in Qdrant.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from service.errors import WrongInput
from service.model.qdrant import (
    AbsExpression,
    AcoshExpression,
    Condition,
    DatetimeExpression,
    DatetimeKeyExpression,
    DecayParamsExpression,
    DivExpression,
    DivParams,
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
    PayloadSchemaType,
    PowExpression,
    PowParams,
    SqrtExpression,
    SumExpression,
)
from service.queries.decay import Decay, exponential, gaussian, linear
from service.queries.formula_values import (
    Field,
    PointValues,
    is_number,
    parse_variable,
    seconds,
)
from service.queries.haversine import haversine
from service.queries.spelling import spelled
from service.translate.paths import Key, Path, parse_path

Evaluate: TypeAlias = Callable[[PointValues], float]
Function: TypeAlias = (
    NegExpression
    | AbsExpression
    | SqrtExpression
    | ExpExpression
    | Log10Expression
    | LnExpression
    | AcoshExpression
)


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """An expression ready to be evaluated, with the top-level payload keys and the conditions that it needs."""

    expression: Evaluate
    keys: frozenset[str]
    conditions: tuple[Filter, ...]

    def score(self, values: PointValues) -> float:
        """Return the score, a float32. Raises ``WrongInput`` for a missing variable and a result that is not finite."""
        exact = self.expression(values)
        with np.errstate(over="ignore", invalid="ignore"):
            score = float(np.float32(exact))
        if not math.isfinite(score):
            raise _not_finite(f"{spelled(exact)} as f32", score)
        return score


def compiled(
    expression: Expression,
    defaults: Mapping[str, Any],
    indexes: Mapping[Path, PayloadSchemaType] | None = None,
) -> Formula:
    """Return the formula; ``indexes`` are the payload indexes of the collection, which change what a field holds.

    Raises ``WrongInput`` with Qdrant's texts for what Qdrant refuses before it looks at a point.
    """
    compiler = _Compiler(defaults, indexes or {})
    evaluate = compiler.expression(expression)
    return Formula(evaluate, frozenset(compiler.keys), tuple(compiler.conditions))


class _Compiler:
    def __init__(
        self, defaults: Mapping[str, Any], indexes: Mapping[Path, PayloadSchemaType]
    ) -> None:
        self._defaults = {parse_variable(name): value for name, value in defaults.items()}
        self._indexes = indexes
        self.keys: set[str] = set()
        self.conditions: list[Filter] = []

    def expression(self, given: Expression) -> Evaluate:
        match given:
            case int() | float():
                constant = _single(given)
                return lambda _: constant
            case str():
                return self._variable(given)
            case GeoDistance(geo_distance=wanted):
                located, origin = self._field(wanted.to, parse_path(wanted.to)), wanted.origin
                return lambda values: haversine(origin, located.location(values.payload))
            case DatetimeExpression(datetime=text):
                moment = _moment(text)
                return lambda _: moment
            case DatetimeKeyExpression(datetime_key=key):
                dated = self._field(key, parse_path(key))
                return lambda values: dated.moment(values.payload)
            case DivExpression(div=wanted):
                return self._quotient(wanted)
            case PowExpression(pow=wanted):
                return self._power(wanted)
            case MultExpression() | SumExpression() | MaxExpression() | MinExpression():
                return self._fold(given)
            case LinDecayExpression() | ExpDecayExpression() | GaussDecayExpression():
                return self._decay(given)
            case _:
                return self._function(given)

    def _variable(self, name: str) -> Evaluate:
        variable = parse_variable(name)
        if not isinstance(variable, int):
            field = self._field(name, variable)
            return lambda values: field.number(values.payload)
        default = self._defaults.get(variable)
        missing = float(default) if is_number(default) else 0.0

        def score(values: PointValues) -> float:
            found = values.scores[variable] if variable < len(values.scores) else None
            return missing if found is None else found

        return score

    def _field(self, name: str, path: Path) -> Field:
        first = path[0]
        if isinstance(first, Key):
            self.keys.add(first.name)
        return Field(name, path, self._indexes.get(path), self._defaults)

    def _all(self, given: Iterable[Expression]) -> list[Evaluate]:
        return [self.expression(one) for one in given]

    def _fold(
        self, given: MultExpression | SumExpression | MaxExpression | MinExpression
    ) -> Evaluate:
        match given:
            case MultExpression(mult=some):
                factors = self._all(some)
                return lambda values: _product(factors, values)
            case SumExpression(sum=some):
                terms = self._all(some)
                return lambda values: reduce(lambda total, one: total + one(values), terms, 0.0)
            case MaxExpression(max=some):
                several = self._all(_some(some, "max"))
                return lambda values: float(np.fmax.reduce([one(values) for one in several]))
            case MinExpression(min=some):
                several = self._all(_some(some, "min"))
                return lambda values: float(np.fmin.reduce([one(values) for one in several]))

    def _quotient(self, wanted: DivParams) -> Evaluate:
        left, right = self._all([wanted.left, wanted.right])
        default = None if wanted.by_zero_default is None else _single(wanted.by_zero_default)

        def divide(values: PointValues) -> float:
            above = left(values)
            if above == 0:
                return 0.0
            below = right(values)
            if below == 0 and default is not None:
                return default
            return _finite(
                np.divide, above, below, text=lambda: f"{spelled(above)}/{spelled(below)}"
            )

        return divide

    def _power(self, wanted: PowParams) -> Evaluate:
        base, exponent = self._all([wanted.base, wanted.exponent])

        def power(values: PointValues) -> float:
            low, high = base(values), exponent(values)
            return _finite(np.power, low, high, text=lambda: f"{spelled(low)}^{spelled(high)}")

        return power

    def _decay(
        self, given: LinDecayExpression | ExpDecayExpression | GaussDecayExpression
    ) -> Evaluate:
        match given:
            case LinDecayExpression(lin_decay=wanted):
                return self._decaying(wanted, linear)
            case ExpDecayExpression(exp_decay=wanted):
                return self._decaying(wanted, exponential)
            case GaussDecayExpression(gauss_decay=wanted):
                return self._decaying(wanted, gaussian)

    def _decaying(
        self, wanted: DecayParamsExpression, kind: Callable[[float, float], Decay]
    ) -> Evaluate:
        decay = kind(
            _single(0.5 if wanted.midpoint is None else wanted.midpoint),
            _single(1.0 if wanted.scale is None else wanted.scale),
        )
        x = self.expression(wanted.x)
        target = self.expression(0.0 if wanted.target is None else wanted.target)
        return lambda values: decay(x(values) - target(values))

    def _function(self, given: Function | Condition) -> Evaluate:
        match given:
            case NegExpression(neg=one):
                negated = self.expression(one)
                return lambda values: -negated(values)
            case AbsExpression(abs=one):
                inner = self.expression(one)
                return lambda values: abs(inner(values))
            case SqrtExpression(sqrt=one):
                return self._applied(np.sqrt, one, "√{}")
            case ExpExpression(exp=one):
                return self._applied(np.exp, one, "exp({})")
            case Log10Expression(log10=one):
                return self._applied(np.log10, one, "log10({})")
            case LnExpression(ln=one):
                return self._applied(np.log, one, "ln({})")
            case AcoshExpression(acosh=one):
                return self._applied(np.arccosh, one, "acosh({})")
            case _:
                return self._condition(given)

    def _applied(self, function: np.ufunc, one: Expression, form: str) -> Evaluate:
        inner = self.expression(one)

        def apply(values: PointValues) -> float:
            value = inner(values)
            return _finite(function, value, text=lambda: form.format(spelled(value)))

        return apply

    def _condition(self, given: Condition) -> Evaluate:
        number = len(self.conditions)
        self.conditions.append(Filter(must=[given]))
        return lambda values: float(values.met[number])


def _product(factors: Iterable[Evaluate], values: PointValues) -> float:
    """Multiply until a factor is zero: what is missing behind it does not matter."""
    product = 1.0
    for factor in factors:
        value = factor(values)
        if value == 0:
            return 0.0
        product *= value
    return product


def _finite(function: np.ufunc, *operands: float, text: Callable[[], str]) -> float:
    with np.errstate(all="ignore"):
        result = float(function(*(np.float64(operand) for operand in operands)))
    if not math.isfinite(result):
        raise _not_finite(text(), result)
    return result


def _not_finite(expression: str, result: float) -> WrongInput:
    return WrongInput(
        f"The expression {expression} = {spelled(result)} produced a non-finite number"
    )


def _some(given: list[Expression], name: str) -> list[Expression]:
    if not given:
        raise WrongInput(f"Validation failed: `{name}` needs at least one operand")
    return given


def _moment(text: str) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        message = f"Validation failed: failed to parse date-time {text}: {error}"
        raise WrongInput(message) from error


def _single(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.float32(value))
