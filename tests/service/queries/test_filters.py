"""The filter of a query joined with that of a branch, against Qdrant's engine."""

from collections.abc import Iterator
from typing import Any

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.model.qdrant import Condition, FieldCondition, Filter, MatchValue, MinShould
from service.queries.filters import merged
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.filters import engine_filter
from tests.service.queries import engine

conditions = st.builds(
    lambda key, value: FieldCondition(key=key, match=MatchValue(value=value)),
    st.sampled_from("abc"),
    st.integers(0, 1),
)
lists = st.one_of(st.none(), conditions, st.lists(conditions, max_size=2))
filters = st.one_of(
    st.none(),
    st.builds(
        Filter,
        must=lists,
        must_not=lists,
        should=lists,
        min_should=st.one_of(
            st.none(),
            st.builds(
                MinShould,
                conditions=st.lists(conditions, max_size=3),
                min_count=st.integers(0, 3),
            ),
        ),
    ),
)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """A shard with every combination of three binary fields."""
    with engine.opened(tmp_path_factory.mktemp("filters"), {"v": engine.dense(1)}) as opened:
        numbers = range(8)
        vectors = {number + 1: {"v": [1.0]} for number in numbers}
        payloads = {
            number + 1: {key: number >> at & 1 for at, key in enumerate("abc")}
            for number in numbers
        }
        engine.fill(opened, vectors, payloads)
        yield opened


@given(outer=filters, inner=filters)
def test_a_branch_answers_what_the_joined_filter_leaves(
    shard: edge.EdgeShard, outer: Filter | None, inner: Filter | None
) -> None:
    """One search with the joined filter finds what the engine finds for a branch below a filtered query."""

    def theirs(wanted: Filter | None) -> Any:
        return engine_filter(wanted, "filter", boolean_matches(shard))

    branch = engine.nearest([1.0], "v", filter=theirs(inner))
    expected = engine.hits(shard, edge.Fusion.Rrf(2), [branch], filter=theirs(outer))
    joined = theirs(merged(outer, inner))
    found = engine.hits(shard, edge.Query.Nearest([1.0], "v"), filter=joined)
    assert {hit.id for hit in found} == {hit.id for hit in expected}


@pytest.mark.parametrize(("outer", "inner"), [(1, 3), (3, 1)])
def test_the_larger_of_two_counts_holds_for_the_conditions_of_both(
    shard: edge.EdgeShard, outer: int, inner: int
) -> None:
    """Three of four conditions, whichever of the two filters asks for so many."""

    def theirs(wanted: Filter | None) -> Any:
        return engine_filter(wanted, "filter", boolean_matches(shard))

    def at_least(count: int, *keys: str) -> Filter:
        listed: list[Condition] = [
            FieldCondition(key=key, match=MatchValue(value=1)) for key in keys
        ]
        return Filter(min_should=MinShould(conditions=listed, min_count=count))

    above, below = at_least(outer, "a", "b"), at_least(inner, "b", "c")
    branch = engine.nearest([1.0], "v", filter=theirs(below))
    expected = engine.hits(shard, edge.Fusion.Rrf(2), [branch], filter=theirs(above))
    wanted = theirs(merged(above, below))
    found = engine.hits(shard, edge.Query.Nearest([1.0], "v"), filter=wanted)
    # Payloads are the bits of the number before: of a, b, b and c three are 1 in 3, 6 and 7.
    assert {hit.id for hit in found} == {hit.id for hit in expected} == {4, 7, 8}
