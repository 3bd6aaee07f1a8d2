"""Translations of filters are kept for equal filters of the very same description of a collection, and no others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.ids import encode_key
from service.model.qdrant import CreateCollection, FieldCondition, Filter, GeoPoint, GeoRadius
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.conditions import filter_condition
from service.translate.filters import filter_sql
from service.translate.sql import TRUE, Identifier
from tests.service.translate.random_filters import random_filter

_WANTED = {"must": [{"key": "k", "match": {"value": "x"}}]}


def _tables(schema: dict[str, Any] | None = None) -> CollectionTables:
    config = CreateCollection.model_validate({})
    return CollectionTables(1, "c", config, Identifier(("s", "points_1")), {}, schema or {})


def _filter(given: dict[str, Any]) -> Filter:
    return Filter.model_validate(given)


def _near(radius: float) -> Filter:
    within = GeoRadius(center=GeoPoint(lon=1.0, lat=2.0), radius=radius)
    return Filter(must=[FieldCondition(key="k", geo_radius=within)])


def test_an_equal_filter_is_the_same_condition() -> None:
    """Statements are kept by the condition's identity, so that is what has to be the same."""
    tables = _tables()
    assert filter_condition(tables, _filter(_WANTED)) is filter_condition(tables, _filter(_WANTED))


def test_no_filter_is_true() -> None:
    """What is true by itself needs no look at the points."""
    assert filter_condition(_tables(), None).sql is TRUE
    assert filter_condition(_tables(), _filter({})).sql is TRUE


def test_another_description_has_conditions_of_its_own() -> None:
    """An index that was made in between serves, and may change what matches."""
    before, after = _tables(), _tables({"k": "keyword"})
    assert not filter_condition(before, _filter(_WANTED)).is_served
    assert filter_condition(after, _filter(_WANTED)).is_served


@pytest.mark.parametrize("value", ["y", 1, True, "1", "true"])
def test_values_that_look_alike_are_not_mixed_up(value: object) -> None:
    """A string, an integer and a boolean of one spelling match different points."""
    tables = _tables()
    alike = [_filter({"must": [{"key": "k", "match": {"value": v}}]}) for v in ("y", 1, True, "1")]
    for one in alike:
        filter_condition(tables, one)
    wanted = _filter({"must": [{"key": "k", "match": {"value": value}}]})
    fresh = filter_sql(wanted, tables.row).render()
    assert filter_condition(tables, wanted).sql.render() == fresh


def test_infinite_numbers_are_not_mixed_up() -> None:
    """JSON has one text for both of them."""
    tables = _tables()
    below, above = (_near(radius) for radius in (float("-inf"), float("inf")))
    found = [filter_condition(tables, wanted).digest for wanted in (below, above)]
    assert found[0] != found[1]


def test_long_filters_are_not_kept() -> None:
    """A thousand ids hardly come again."""
    tables = _tables()
    wanted = _filter({"must": [{"has_id": list(range(1_000))}]})
    first = filter_condition(tables, wanted)
    assert first is not filter_condition(tables, wanted)
    assert not first.is_kept
    assert first.sql.render()[1] == [[encode_key(number) for number in range(1_000)]]


@given(st.randoms(use_true_random=False))
def test_what_is_kept_is_what_a_translation_gives(random: Any) -> None:
    """However many filters went before."""
    tables = _tables({"n": "integer"})
    wanted = _filter(random_filter(random, [1, 2], []))
    for _ in range(2):
        kept = filter_condition(tables, wanted)
        assert kept.sql.render() == filter_sql(wanted, tables.row).render()
