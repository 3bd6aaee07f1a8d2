"""Fusion of lists against Qdrant's engine, float by float."""

from collections.abc import Iterator, Mapping

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.model.points import Hit
from service.queries.fusion import by_distribution, by_reciprocal_rank
from tests.service.queries import engine

NAMES = ("a", "b", "c")

scores = st.floats(-1e6, 1e6, width=32)
some_scores = st.dictionaries(st.integers(1, 12), scores, max_size=12)
weights = st.lists(st.floats(-1, 8, width=32), min_size=3, max_size=3)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """A shard in which a search for 1 gives every point the score that is its vector."""
    folder = tmp_path_factory.mktemp("fusion")
    with engine.opened(folder, {name: engine.dense(1) for name in NAMES}) as opened:
        yield opened


def _fused_by_engine(
    shard: edge.EdgeShard, lists: list[dict[int, float]], fusion: object
) -> tuple[list[list[Hit]], list[Hit]]:
    """Return the lists as the engine ranks them, and what it makes of them."""
    points: dict[int, dict[str, list[float]]] = {}
    for name, known in zip(NAMES, lists, strict=True):
        for number, score in known.items():
            points.setdefault(number, {})[name] = [score]
    engine.fill(shard, points)
    searches = [edge.Query.Nearest([1.0], name) for name in NAMES]
    branches = [engine.hits(shard, search) for search in searches]
    prefetches = [engine.nearest([1.0], name) for name in NAMES]
    return branches, engine.hits(shard, fusion, prefetches)


def _by_id(hits: list[Hit]) -> Mapping[int | str, float]:
    return {hit.id: hit.score for hit in hits}


@given(lists=st.lists(some_scores, min_size=3, max_size=3), k=st.integers(1, 100), own=weights)
def test_reciprocal_rank_fusion_is_the_engines(
    shard: edge.EdgeShard, lists: list[dict[int, float]], k: int, own: list[float]
) -> None:
    """The same points with the same sums, best first, whatever k and the weights are."""
    branches, expected = _fused_by_engine(shard, lists, edge.Fusion.Rrf(k, own))
    fused = by_reciprocal_rank(branches, k, own)
    assert _by_id(fused) == _by_id(expected)
    assert [hit.score for hit in fused] == [hit.score for hit in expected]


@given(lists=st.lists(some_scores, min_size=3, max_size=3))
def test_without_weights_every_list_counts_alike(
    shard: edge.EdgeShard, lists: list[dict[int, float]]
) -> None:
    """No weights are weights of one."""
    branches, expected = _fused_by_engine(shard, lists, edge.Fusion.Rrf(2))
    assert _by_id(by_reciprocal_rank(branches, 2)) == _by_id(expected)


@given(lists=st.lists(some_scores, min_size=3, max_size=3))
def test_distribution_based_fusion_is_the_engines(
    shard: edge.EdgeShard, lists: list[dict[int, float]]
) -> None:
    """The same normalised sums, lists of one and of equal scores included."""
    branches, expected = _fused_by_engine(shard, lists, edge.Fusion.Dbsf())
    fused = by_distribution(branches)
    assert _by_id(fused) == pytest.approx(_by_id(expected), rel=1e-6)
    assert [hit.score for hit in fused] == sorted([hit.score for hit in fused], reverse=True)


def test_a_point_twice_in_a_list_counts_twice() -> None:
    """An order by a field has a point once for every value it has."""
    [first, second] = by_reciprocal_rank([[Hit(1, 1.0), Hit(2, 1.0), Hit(1, 1.0)]], 2)
    assert (first.id, first.score) == (1, 0.75)
    assert second.id == 2
    assert second.score == pytest.approx(1 / 3)


def test_the_version_of_a_point_is_kept() -> None:
    """Fusion replaces the score and nothing else."""
    [hit] = by_distribution([[Hit(1, 3.0, version=7)]])
    assert (hit.version, hit.score) == (7, 0.5)
