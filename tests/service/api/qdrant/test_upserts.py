"""Bodies that bring vectors."""

from typing import Any

import numpy as np
import pytest

from service.api.qdrant.upserts import parse_upsert, parse_vector_update
from service.errors import RequestError
from service.model.points import Point
from service.model.qdrant import UpdateMode


def _plain(point: Point) -> tuple[Any, Any, Any]:
    vectors = {name: np.asarray(vector).tolist() for name, vector in point.vectors.items()}
    return point.id, vectors, point.payload


def test_a_list_and_columns_mean_the_same() -> None:
    """Both forms of an upsert give the same points; an absent payload is empty."""
    listed = parse_upsert(
        {
            "points": [
                {"id": 1, "vector": {"a": [1, 2]}, "payload": {"k": 1}, "extra": 0},
                {"id": 2, "vector": {"a": [3, 4]}, "payload": None},
            ]
        }
    )
    columns = parse_upsert(
        {
            "batch": {
                "ids": [1, 2],
                "vectors": {"a": [[1, 2], [3, 4]]},
                "payloads": [{"k": 1}, None],
            }
        }
    )
    expected = [(1, {"a": [1, 2]}, {"k": 1}), (2, {"a": [3, 4]}, {})]
    assert [_plain(point) for point in listed.points] == expected
    assert [_plain(point) for point in columns.points] == expected


def test_conditions_of_an_upsert() -> None:
    """The filter and the mode of a conditional upsert are kept."""
    upsert = parse_upsert(
        {
            "points": [{"id": 1, "vector": {}}],
            "update_filter": {"must": [{"has_id": [1]}]},
            "update_mode": "insert_only",
        }
    )
    assert upsert.update_filter is not None
    assert upsert.update_mode is UpdateMode.INSERT_ONLY


def test_a_vector_update_keeps_names_and_filter() -> None:
    """Only the vectors that are named are changed."""
    update = parse_vector_update(
        {"points": [{"id": 1, "vector": {"a": [1]}}], "update_filter": {"must": []}}
    )
    ((point_id, vectors),) = update.points
    assert (point_id, vectors["a"].tolist()) == (1, [1.0])  # type: ignore[union-attr]
    assert update.update_filter is not None


FORMAT = "Format error in JSON body: "


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, f"{FORMAT}expected `points` or `batch`"),
        ({"points": []}, 400, "Bad request: Empty update request"),
        ({"points": {}}, 400, f"{FORMAT}points: expected a list"),
        ({"points": [{"vector": [1]}]}, 400, f"{FORMAT}points[0]: missing field `id`"),
        ({"points": [{"id": 1}]}, 400, f"{FORMAT}points[0]: missing field `vector`"),
        (
            {"points": [{"id": -1, "vector": [1]}]},
            400,
            (
                f"{FORMAT}value -1 is not a valid point ID, "
                "valid values are either an unsigned integer or a UUID"
            ),
        ),
        (
            {"points": [{"id": 1, "vector": [1], "payload": []}]},
            400,
            f"{FORMAT}points[0].payload: expected an object",
        ),
        (
            {"points": [{"id": 1, "vector": [1]}], "update_mode": "sometimes"},
            400,
            f"{FORMAT}update_mode: Input should be 'upsert', 'insert_only' or 'update_only'",
        ),
        (
            {"batch": {"ids": [1, 2], "vectors": [[1]]}},
            422,
            (
                "Validation error in JSON body: "
                "[batch: number of ids and vectors must be equal (2 != 1)]"
            ),
        ),
        (
            {"batch": {"ids": [1], "vectors": [[1]], "payloads": []}},
            422,
            (
                "Validation error in JSON body: "
                "[batch: number of ids and payloads must be equal (1 != 0)]"
            ),
        ),
        (
            {"points": [{"id": 1, "vector": [1]}], "shard_key": 3},
            501,
            "Not implemented: shard_key needs custom sharding, we have none",
        ),
    ],
)
def test_refusals(body: Any, status: int, text: str) -> None:
    """A wrong point is refused with its place."""
    with pytest.raises(RequestError) as caught:
        parse_upsert(body)
    assert (caught.value.status, str(caught.value)) == (status, text)


@pytest.mark.parametrize("vector", [[], {}])
def test_a_vector_update_without_vectors_is_refused(vector: Any) -> None:
    """There has to be something to update."""
    with pytest.raises(RequestError, match="must specify vectors to update for point"):
        parse_vector_update({"points": [{"id": 1, "vector": vector}]})
