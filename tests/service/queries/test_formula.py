"""Formulas against Qdrant's engine: random expressions over random payloads, and what is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.errors import WrongInput
from service.model.points import Payload
from service.model.qdrant import (
    AbsExpression,
    AcoshExpression,
    DatetimeExpression,
    DatetimeKeyExpression,
    DecayParamsExpression,
    DivExpression,
    DivParams,
    ExpDecayExpression,
    ExpExpression,
    Expression,
    FieldCondition,
    GaussDecayExpression,
    GeoDistance,
    GeoDistanceParams,
    GeoPoint,
    LinDecayExpression,
    LnExpression,
    Log10Expression,
    MatchValue,
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
from service.queries.formula import compiled
from service.queries.formula_values import PointValues
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.formulas import engine_formula
from service.translate.paths import parse_path
from tests.service.queries import engine

DEFAULTS: dict[str, Any] = {
    "$score[1]": 0.25,
    "missing": 2.5,
    "l[].v": 4.0,
    "when": "2021-06-01",
    "bad": "x",
}
PATHS = ["n", "n[]", "n[0]", "o.v", "l[].v", "l[1].v", "missing", "bad", "absent"]

numbers = st.one_of(st.integers(-5, 9), st.floats(-10, 10), st.sampled_from([3.0, 2**63]))
leaves = st.one_of(numbers, st.sampled_from(["3", True, None, "2020-01-02T03:04:05Z"]))
values = st.one_of(leaves, st.lists(leaves, max_size=2))
locations = st.one_of(
    st.builds(lambda lon, lat: {"lon": lon, "lat": lat}, st.floats(-180, 180), st.floats(-90, 90)),
    st.just([3.5, -4.0]),
    values,
)
moments = st.one_of(
    st.dates().map(str), st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"), values
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "n": values,
        "o": st.fixed_dictionaries({"v": values}),
        "l": st.lists(st.fixed_dictionaries({"v": values}), max_size=2),
        "at": locations,
        "when": moments,
    },
)
variables = st.sampled_from(["$score", "$score[0]", "$score[1]", "$score[5]", *PATHS])
conditions = st.builds(
    lambda value: FieldCondition(key="n", match=MatchValue(value=value)), st.integers(-5, 9)
)
distances = st.builds(
    lambda lon, lat: GeoDistance(
        geo_distance=GeoDistanceParams(origin=GeoPoint(lon=lon, lat=lat), to="at")
    ),
    st.floats(-180, 180),
    st.floats(-90, 90),
)
times = st.one_of(
    st.just(DatetimeKeyExpression(datetime_key="when")),
    st.just(DatetimeExpression(datetime="2022-02-03T04:05:06.789Z")),
)
terminals: st.SearchStrategy[Any] = st.one_of(
    st.floats(-8, 8), variables, conditions, distances, times
)


def _decays(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    params = st.builds(
        DecayParamsExpression,
        x=inner,
        target=st.one_of(st.none(), inner),
        midpoint=st.one_of(st.none(), st.floats(0.05, 0.95)),
        scale=st.one_of(st.none(), st.floats(0.5, 1e6)),
    )
    return st.one_of(
        params.map(lambda given: LinDecayExpression(lin_decay=given)),
        params.map(lambda given: ExpDecayExpression(exp_decay=given)),
        params.map(lambda given: GaussDecayExpression(gauss_decay=given)),
    )


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    default = st.one_of(st.none(), st.floats(-2, 2))
    return st.one_of(
        several.map(lambda some: MultExpression(mult=some)),
        several.map(lambda some: SumExpression(sum=some)),
        several.map(lambda some: MaxExpression(max=some)),
        several.map(lambda some: MinExpression(min=some)),
        inner.map(lambda one: NegExpression(neg=one)),
        inner.map(lambda one: AbsExpression(abs=one)),
        inner.map(lambda one: SqrtExpression(sqrt=one)),
        inner.map(lambda one: ExpExpression(exp=one)),
        inner.map(lambda one: Log10Expression(log10=one)),
        inner.map(lambda one: LnExpression(ln=one)),
        inner.map(lambda one: AcoshExpression(acosh=one)),
        st.builds(lambda a, b: PowExpression(pow=PowParams(base=a, exponent=b)), inner, inner),
        st.builds(
            lambda a, b, c: DivExpression(div=DivParams(left=a, right=b, by_zero_default=c)),
            inner,
            inner,
            default,
        ),
        _decays(inner),
    )


expressions = st.recursive(terminals, _larger, max_leaves=6)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """A shard in which a search for 1 gives every point the score that is its vector."""
    folder = tmp_path_factory.mktemp("formula")
    with engine.opened(folder, {"a": engine.dense(1)}) as opened:
        yield opened


def _engine_score(
    shard: edge.EdgeShard,
    expression: Expression,
    payload: Payload,
    defaults: dict[str, Any] = DEFAULTS,
) -> float | None:
    """Return the engine's score of a point that has the score 1.5 in the only branch; ``None`` for an error."""
    engine.fill(shard, {1: {"a": [1.5]}}, {1: payload})
    formula = engine_formula(expression, defaults, boolean_matches(shard))
    try:
        [hit] = engine.hits(shard, formula, [engine.nearest([1.0], "a")])
    except Exception as error:
        if "cancelled" not in str(error):
            raise
        return None
    return hit.score


def _our_score(
    expression: Expression,
    payload: Payload,
    indexes: dict[str, PayloadSchemaType] | None = None,
    defaults: dict[str, Any] = DEFAULTS,
) -> float | None:
    parsed = {parse_path(name): kind for name, kind in (indexes or {}).items()}
    formula = compiled(expression, defaults, parsed)
    met = [_meets(condition, payload) for condition in formula.conditions]
    try:
        return formula.score(PointValues([1.5], payload, met))
    except WrongInput:
        return None


def _meets(wanted: Any, payload: Payload) -> bool:
    """Match an integer against the field ``n``, as the only condition of these tests does."""
    value = wanted.must[0].match.value
    elements = payload.get("n")
    return any(
        type(one) is int and one == value
        for one in (elements if isinstance(elements, list) else [elements])
    )


@given(expression=expressions, payload=payloads)
def test_a_score_is_the_engines(
    shard: edge.EdgeShard, expression: Expression, payload: Payload
) -> None:
    """The same float, or an error in both."""
    expected = _engine_score(shard, expression, payload)
    score = _our_score(expression, payload)
    assert (score is None) == (expected is None), (score, expected)
    if score is not None:
        assert score == pytest.approx(expected, rel=1e-6, abs=1e-30)


@pytest.fixture(scope="module")
def indexed_shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """A shard with one indexed field of every kind, named after it."""
    folder = tmp_path_factory.mktemp("indexed")
    with engine.opened(folder, {"a": engine.dense(1)}) as opened:
        for kind in PayloadSchemaType:
            theirs = getattr(edge.PayloadSchemaType, kind.value.capitalize())
            opened.update(edge.UpdateOperation.create_field_index(kind.value, theirs))
        yield opened


def _reading(what: str, name: str) -> Expression:
    match what:
        case "number":
            return name
        case "moment":
            return DatetimeKeyExpression(datetime_key=name)
        case _:
            origin = GeoPoint(lon=1, lat=2)
            return GeoDistance(geo_distance=GeoDistanceParams(origin=origin, to=name))


KINDS = {kind.value: kind for kind in PayloadSchemaType}


@given(
    value=st.one_of(locations, moments, st.uuids().map(str)),
    defaults=st.sampled_from([{}, dict.fromkeys(KINDS, 2.5)]),
)
@pytest.mark.parametrize("reads", ["number", "moment", "location"])
def test_an_indexed_field_is_read_from_its_index(
    indexed_shard: edge.EdgeShard, reads: str, value: Any, defaults: dict[str, float]
) -> None:
    """What an index does not keep is missing: the default stands in for it."""
    payload = dict.fromkeys(KINDS, value)
    for name in KINDS:
        expression = _reading(reads, name)
        expected = _engine_score(indexed_shard, expression, payload, defaults)
        score = _our_score(expression, payload, KINDS, defaults)
        assert (score is None) == (expected is None), (name, score, expected)
        if score is not None:
            assert score == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "expression",
    [
        "$other",
        "$score[]",
        "$score.x",
        "$score[1][2]",
        "a..b",
        MaxExpression(max=[]),
        SumExpression(sum=[1.0, MinExpression(min=[])]),
        LinDecayExpression(lin_decay=DecayParamsExpression(x=1.0, midpoint=1.5)),
        ExpDecayExpression(exp_decay=DecayParamsExpression(x=1.0, midpoint=1.0)),
        GaussDecayExpression(gauss_decay=DecayParamsExpression(x=1.0, midpoint=0.0)),
        GaussDecayExpression(gauss_decay=DecayParamsExpression(x=1.0, scale=-0.5)),
    ],
)
def test_what_is_refused_before_any_point_is_looked_at(
    shard: edge.EdgeShard, expression: Expression
) -> None:
    """The text is the engine's."""
    with pytest.raises(ValueError, match="failed to parse formula") as theirs:
        engine_formula(expression, {}, boolean_matches(shard))
    with pytest.raises(WrongInput) as ours:
        compiled(expression, {})
    expected = str(theirs.value).removeprefix("failed to parse formula: ")
    assert str(ours.value) == f"Wrong input: {expected}"


def _error(expression: Expression, payload: Payload) -> str:
    formula = compiled(expression, DEFAULTS)
    with pytest.raises(WrongInput) as raised:
        formula.score(PointValues([1.5], payload, []))
    return str(raised.value).removeprefix("Wrong input: ")


def test_the_text_of_an_error_names_the_field_or_the_expression() -> None:
    """The engine in the process hides its texts; these are the server's."""
    where = "in the payload and/or in the formula defaults. Error:"
    assert _error("absent", {}) == (
        f"Expected number value for absent {where} No value found in a payload nor defaults"
    )
    assert _error("n", {"n": "3"}) == f"Expected number value for n {where} Value is not a number"
    assert _error(DatetimeKeyExpression(datetime_key="n"), {"n": 1}) == (
        f"Expected datetime value for n {where} Value is not a string"
    )
    divided = DivExpression(div=DivParams(left=1.0, right=0.0))
    assert _error(divided, {}) == "The expression 1/0 = inf produced a non-finite number"
    root = SqrtExpression(sqrt=-2.5)
    assert _error(root, {}) == "The expression √-2.5 = NaN produced a non-finite number"
    large = PowExpression(pow=PowParams(base=10.0, exponent=40.0))
    assert _error(large, {}).endswith("as f32 = inf produced a non-finite number")


def test_a_product_stops_at_zero() -> None:
    """What is missing behind the zero does not matter."""
    expression = MultExpression(mult=[0.0, "absent"])
    assert _our_score(expression, {}) == 0.0


def test_the_keys_and_conditions_that_are_needed_are_known() -> None:
    """They are read once for all points."""
    condition = FieldCondition(key="c", match=MatchValue(value=1))
    expression = SumExpression(sum=["a.b", "l[].v", "$score", condition])
    formula = compiled(expression, {})
    assert formula.keys == {"a", "l"}
    assert [one.must for one in formula.conditions] == [[condition]]
