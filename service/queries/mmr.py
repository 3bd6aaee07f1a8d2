"""Maximal marginal relevance: hits that fit the query and are unlike those chosen before them.

Source: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries" (SIGIR 1998), as in Qdrant's lib/shard/src/query/mmr.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.model.points import Hit, VectorValue
from service.model.qdrant import Distance
from service.queries.similarity import as_query, similarities


def diversified(
    candidates: Sequence[Hit],
    query: VectorValue,
    *,
    using: str,
    distance: Distance,
    diversity: float,
    limit: int,
) -> list[Hit]:
    """Return ``limit`` of the candidates in the order in which they are chosen, with their scores as they came.

    The first is the one most like the query, each further one has the largest
    (1 - diversity) * similarity to the query - diversity * largest similarity to one that is chosen.
    Candidates without the vector ``using`` are left out; a single one is returned whatever the limit.
    """
    distinct = {hit.id: hit for hit in reversed(candidates)}
    kept = [
        (hit, vector)
        for hit in candidates
        if distinct.get(hit.id) is hit and (vector := (hit.vectors or {}).get(using)) is not None
    ]
    hits = [replace(hit, vectors=None) for hit, _ in kept]
    if len(hits) <= 1:
        return hits
    order = _chosen([vector for _, vector in kept], query, distance, diversity, limit)
    return [hits[at] for at in order]


def _chosen(
    vectors: Sequence[VectorValue],
    query: VectorValue,
    distance: Distance,
    diversity: float,
    limit: int,
) -> list[int]:
    weight = np.float32(1) - np.float32(diversity)
    asked = as_query(query, distance)
    relevance = np.concatenate([similarities([asked], distance, vector) for vector in vectors])
    queries = [as_query(vector, distance) for vector in vectors]
    nearest = np.full(len(vectors), -np.inf, dtype=np.float32)
    remaining = list(range(len(vectors)))
    chosen: list[int] = []
    scores = relevance
    while remaining and len(chosen) < limit:
        # Of equal ones Qdrant takes the last, and closes the gap with the last of the list.
        place = len(remaining) - 1 - int(np.argmax(scores[remaining][::-1]))
        at = remaining[place]
        chosen.append(at)
        remaining[place] = remaining[-1]
        remaining.pop()
        nearest = np.maximum(nearest, similarities(queries, distance, vectors[at]))
        scores = weight * relevance - (np.float32(1) - weight) * nearest
    return chosen
