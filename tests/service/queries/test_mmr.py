"""Maximal marginal relevance against Qdrant's engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from service.model.points import Hit, SparseVector, VectorValue
from service.model.qdrant import Distance
from service.queries.mmr import diversified
from tests.service.queries import engine

SIZE = 5
POINTS = 40
DISTANCES = {
    Distance.DOT: edge.Distance.Dot,
    Distance.COSINE: edge.Distance.Cosine,
    Distance.EUCLID: edge.Distance.Euclid,
    Distance.MANHATTAN: edge.Distance.Manhattan,
}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge.EdgeShard]:
    """A shard with random vectors and multivectors for every distance."""
    random = np.random.default_rng(7)
    params = {
        name: edge.EdgeVectorParams(size=SIZE, distance=theirs, multivector_config=multi)
        for ours, theirs in DISTANCES.items()
        for name, multi in (
            (f"{ours.value}", None),
            (f"{ours.value}s", edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)),
        )
    }
    points: dict[int, dict[str, Any]] = {}
    for number in range(1, POINTS + 1):
        dense = {ours.value: random.normal(size=SIZE).tolist() for ours in DISTANCES}
        rows = {
            f"{ours.value}s": random.normal(size=(random.integers(1, 4), SIZE)).tolist()
            for ours in DISTANCES
        }
        points[number] = dense | rows
    with engine.opened(tmp_path_factory.mktemp("mmr"), params) as opened:
        engine.fill(opened, points)
        yield opened


def _candidates(shard: edge.EdgeShard, query: Any, using: str, limit: int) -> list[Hit]:
    search = edge.Query.Nearest(query, using)
    return engine.hits(shard, search, limit=limit, with_vector=[using])


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("rows", [None, 2])
@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_the_choice_is_the_engines(
    shard: edge.EdgeShard, distance: Distance, rows: int | None, diversity: float
) -> None:
    """The same points in the same order with the scores that they had."""
    random = np.random.default_rng(int(diversity * 10))
    shape = SIZE if rows is None else (rows, SIZE)
    query = random.normal(size=shape).astype(np.float32)
    using = distance.value if rows is None else f"{distance.value}s"
    wanted = edge.Mmr(query.tolist(), 1.0 - diversity, 25, using)
    expected = engine.hits(shard, wanted, limit=12)
    chosen = diversified(
        _candidates(shard, query.tolist(), using, 25),
        query,
        using=using,
        distance=distance,
        diversity=diversity,
        limit=12,
    )
    assert [hit.id for hit in chosen] == [hit.id for hit in expected]
    assert [hit.score for hit in chosen] == [hit.score for hit in expected]


def test_equals_are_chosen_in_the_engines_order(tmp_path: Path) -> None:
    """The last of them first, and the last of the list moves to the place of what was chosen."""
    alike, unlike = [0.6, 0.8], [1.0, 0.0]
    vectors = {number: {"v": unlike if number == 3 else alike} for number in range(1, 8)}
    query = np.asarray([1.0, 0.0], dtype=np.float32)
    with engine.opened(tmp_path, {"v": engine.dense(2)}) as opened:
        engine.fill(opened, vectors)
        expected = engine.hits(opened, edge.Mmr(query.tolist(), 0.5, 7, "v"), limit=7)
        candidates = _candidates(opened, query.tolist(), "v", 7)
    chosen = diversified(
        candidates, query, using="v", distance=Distance.DOT, diversity=0.5, limit=7
    )
    assert [hit.id for hit in chosen] == [hit.id for hit in expected]


def _hit(number: int, score: float, vector: VectorValue) -> Hit:
    return Hit(number, score, vectors={"": vector})


def test_sparse_vectors_are_compared_over_shared_indices() -> None:
    """Of two alike points only one is near the top; the unlike one comes between them."""

    def sparse(*pairs: tuple[int, float]) -> SparseVector:
        indices, values = zip(*pairs, strict=True)
        return SparseVector(np.asarray(indices, np.uint32), np.asarray(values, np.float32))

    candidates = [
        _hit(1, 3.0, sparse((1, 3.0))),
        _hit(2, 2.9, sparse((1, 2.9))),
        _hit(3, 1.0, sparse((7, 1.0), (9, 4.0))),
    ]
    query = sparse((1, 1.0), (7, 1.0))
    chosen = diversified(candidates, query, using="", distance=Distance.DOT, diversity=0.5, limit=3)
    assert [hit.id for hit in chosen] == [1, 3, 2]


def test_candidates_without_the_vector_are_left_out_and_each_counts_once() -> None:
    """The list may be that of several branches."""
    one = np.asarray([1.0], dtype=np.float32)
    candidates = [
        _hit(1, 1.0, one),
        Hit(2, 0.5),
        _hit(1, 0.2, one),
        _hit(3, 0.1, one * np.float32(0.5)),
    ]
    chosen = diversified(candidates, one, using="", distance=Distance.DOT, diversity=0.1, limit=5)
    assert [(hit.id, hit.score) for hit in chosen] == [(1, 1.0), (3, 0.1)]
    assert chosen[0].vectors is None


def test_a_single_candidate_is_returned_whatever_the_limit() -> None:
    """There is nothing to choose from."""
    one = np.asarray([1.0], dtype=np.float32)
    found = diversified(
        [_hit(1, 1.0, one)], one, using="", distance=Distance.DOT, diversity=0.5, limit=0
    )
    assert [hit.id for hit in found] == [1]
