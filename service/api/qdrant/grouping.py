"""Groups, facets and distance matrices as Qdrant writes them in JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.api.rendering import hit_json, record_json
from service.model.points import FacetHit, Group
from service.queries.matrix import Matrix

Json = dict[str, Any]


def groups_json(groups: Sequence[Group]) -> Json:
    """Write groups, the best first."""
    return {"groups": [_group_json(group) for group in groups]}


def facet_json(hits: Sequence[FacetHit]) -> Json:
    """Write the values of a field with their counts."""
    return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}


def pairs_json(matrix: Matrix) -> Json:
    """Write a distance matrix as a list of its entries."""
    return {
        "pairs": [
            {"a": entry.a, "b": entry.b, "score": np.float32(entry.score)}
            for entry in matrix.neighbours
        ]
    }


def offsets_json(matrix: Matrix) -> Json:
    """Write a distance matrix by coordinates: rows and columns are positions in ``ids``."""
    position = {point_id: at for at, point_id in enumerate(matrix.ids)}
    return {
        "offsets_row": [position[entry.a] for entry in matrix.neighbours],
        "offsets_col": [position[entry.b] for entry in matrix.neighbours],
        "scores": np.array([entry.score for entry in matrix.neighbours], dtype=np.float32),
        "ids": list(matrix.ids),
    }


def _group_json(group: Group) -> Json:
    written: Json = {"hits": [hit_json(hit) for hit in group.hits], "id": group.id}
    if group.lookup is not None:
        written["lookup"] = record_json(group.lookup)
    return written
