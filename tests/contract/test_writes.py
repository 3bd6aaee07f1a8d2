"""Changes to points, in every store."""

from typing import Any

import numpy as np
import pytest

from service.errors import PointNotFound, WrongInput
from service.model.operations import (
    ClearPayload,
    Delete,
    DeletePayload,
    DeleteVectors,
    Operation,
    OverwritePayload,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import Vectors
from service.model.qdrant import CountRequest, PointRequest, ScrollRequest, UpdateMode, UpdateStatus
from service.ports import VectorStore
from tests.contract.samples import NAME, equals, filled, ids, one, payload, point, two, where


def _vectors(vectors: dict[str, list[float]]) -> Vectors:
    return point(0, vectors).vectors


async def _read(store: VectorStore) -> dict[Any, tuple[Any, Any]]:
    page = await store.scroll(NAME, ScrollRequest(with_vector=True, limit=100))
    return {
        record.id: (
            {name: np.asarray(value).tolist() for name, value in (record.vectors or {}).items()},
            record.payload,
        )
        for record in page.records
    }


async def test_an_upsert_replaces_the_whole_point(store: VectorStore) -> None:
    """Vectors and payload keys that the new point lacks are gone."""
    await filled(store, two(), point(1, {"text": [1, 0], "image": [1, 2, 3]}, a=1, b=2))
    await store.apply(NAME, Upsert([point(1, {"image": [4, 5, 6]}, c=3)]), wait=True)
    assert await _read(store) == {1: ({"image": [4, 5, 6]}, {"c": 3})}


async def test_the_last_of_several_points_with_one_id_wins(store: VectorStore) -> None:
    """Also within one request."""
    points = [point(1, {"": [1, 1]}, n=1), point(2, {}, n=2), point(1, {"": [2, 2]}, n=3)]
    await filled(store, one(), *points)
    assert await _read(store) == {1: ({"": [2, 2]}, {"n": 3}), 2: ({}, {"n": 2})}


async def test_operation_numbers_grow(store: VectorStore) -> None:
    """A waited change is completed, and has a higher number than the one before."""
    await store.create_collection(NAME, one())
    first = await store.apply(NAME, Upsert([point(1, {})]), wait=True)
    second = await store.apply(NAME, Delete(ids(1)), wait=True)
    assert first.status is second.status is UpdateStatus.COMPLETED
    assert second.operation_id > first.operation_id


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (point(2, {"text": [1, 2, 3]}), "Vector dimension error: expected dim: 2, got 3"),
        (point(2, {"zz": [1, 2]}), "Not existing vector name error: zz"),
    ],
)
async def test_a_point_that_does_not_fit_spoils_its_batch(
    store: VectorStore, broken: Any, text: str
) -> None:
    """The error has Qdrant's text and nothing of the request is stored."""
    await store.create_collection(NAME, two())
    with pytest.raises(WrongInput, match=text):
        await store.apply(NAME, Upsert([point(1, {}), broken]), wait=True)
    assert await store.count(NAME, CountRequest()) == 0


async def test_a_conditional_upsert(store: VectorStore) -> None:
    """Existing points are replaced where they match, new ones go in, modes restrict both."""
    await filled(store, one(), point(1, {}, lang="en"), point(2, {}, lang="de"))
    new = [point(number, {}, n=number) for number in (1, 2, 3)]
    await store.apply(NAME, Upsert(new, equals("lang", "en")), wait=True)
    assert await _read(store) == {1: ({}, {"n": 1}), 2: ({}, {"lang": "de"}), 3: ({}, {"n": 3})}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(UpdateMode.INSERT_ONLY, {1: 0, 2: 2}), (UpdateMode.UPDATE_ONLY, {1: 1})],
)
async def test_an_upsert_may_only_insert_or_only_update(
    store: VectorStore, mode: UpdateMode, expected: dict[int, int]
) -> None:
    """``insert_only`` leaves existing points, ``update_only`` adds none."""
    await filled(store, one(), point(1, {}, n=0))
    new = [point(number, {}, n=number) for number in (1, 2)]
    await store.apply(NAME, Upsert(new, update_mode=mode), wait=True)
    assert {key: load["n"] for key, (_, load) in (await _read(store)).items()} == expected


async def test_delete_by_ids_and_by_filter(store: VectorStore) -> None:
    """Absent ids are fine; a filter deletes what matches; a deleted id can be used again."""
    points = [
        point(number, {"": [1, number]}, even=number % 2 == 0, n=number) for number in (1, 2, 3)
    ]
    await filled(store, one(), *points)
    await store.apply(NAME, Delete(ids(1, 99)), wait=True)
    await store.apply(NAME, Delete(where("n", 3)), wait=True)
    assert list(await _read(store)) == [2]
    await store.apply(NAME, Upsert([point(1, {}, back=True)]), wait=True)
    assert (await _read(store))[1] == ({}, {"back": True})


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (SetPayload(ids(1), {"a": None, "n": {"y": 1}}), {"n": {"y": 1}, "l": [1, 2]}),
        (SetPayload(ids(1), {"y": 1}, "n"), {"a": 1, "n": {"x": 1, "y": 1}, "l": [1, 2]}),
        (SetPayload(where("a", 1), {"q": 1}, "l[0]"), {"a": 1, "n": {"x": 1}, "l": [{"q": 1}, 2]}),
        (OverwritePayload(ids(1), {"z": None}), {"z": None}),
        (DeletePayload(ids(1), ("n.x", "l[]", "zz")), {"a": 1, "n": {}, "l": []}),
        (DeletePayload(where("a", 1), ("a",)), {"n": {"x": 1}, "l": [1, 2]}),
        (ClearPayload(ids(1)), {}),
        (ClearPayload(where("a", 2)), {"a": 1, "n": {"x": 1}, "l": [1, 2]}),
    ],
    ids=str,
)
async def test_payload_operations(
    store: VectorStore, operation: Operation, expected: dict[str, Any]
) -> None:
    """Payloads change as Qdrant changes them, and vectors stay."""
    await filled(store, one(), point(1, {"": [1, 2]}, a=1, n={"x": 1}, l=[1, 2]))
    await store.apply(NAME, operation, wait=True)
    assert await _read(store) == {1: ({"": [1, 2]}, expected)}


@pytest.mark.parametrize(
    "operation",
    [
        SetPayload(ids(99), {"a": 1}),
        OverwritePayload(ids(99), {"a": 1}),
        DeletePayload(ids(99), ("a",)),
        ClearPayload(ids(99)),
        UpdateVectors([(99, _vectors({"text": [1, 2]}))]),
        DeleteVectors(ids(99), ("text",)),
    ],
    ids=lambda operation: type(operation).__name__,
)
async def test_an_unknown_id_is_an_error(store: VectorStore, operation: Operation) -> None:
    """Only deleting forgives it."""
    await filled(store, two(), point(1, {}))
    with pytest.raises(PointNotFound, match="No point with id 99"):
        await store.apply(NAME, operation, wait=True)


async def test_vectors_are_updated_and_deleted_by_name(store: VectorStore) -> None:
    """Other vectors and the payload stay; a deleted vector's point stays."""
    await filled(store, two(), point(1, {"text": [1, 0], "image": [1, 2, 3]}, a=1))
    update = UpdateVectors([(1, _vectors({"image": [7, 8, 9]}))])
    await store.apply(NAME, update, wait=True)
    assert await _read(store) == {1: ({"text": [1, 0], "image": [7, 8, 9]}, {"a": 1})}
    await store.apply(NAME, DeleteVectors(ids(1), ("text",)), wait=True)
    assert await _read(store) == {1: ({"image": [7, 8, 9]}, {"a": 1})}
    with pytest.raises(WrongInput, match="Not existing vector name error: zz"):
        await store.apply(NAME, DeleteVectors(ids(1), ("zz",)), wait=True)


async def test_cosine_vectors_are_stored_normalised(store: VectorStore) -> None:
    """Unless they are nearly of length zero; other distances keep what was sent."""
    await filled(
        store,
        two(),
        point(1, {"text": [3, 4], "image": [3, 4, 0]}),
        point(2, {"text": [0, 0]}),
        point(3, {"text": [1e-5, 1e-5]}),
    )
    read = await _read(store)
    assert read[1][0]["text"] == pytest.approx([0.6, 0.8], rel=1e-6)
    assert read[1][0]["image"] == [3, 4, 0]
    assert read[2][0]["text"] == [0, 0]
    assert read[3][0]["text"] == pytest.approx([1e-5, 1e-5], rel=1e-6)


async def test_payload_values_come_back(store: VectorStore) -> None:
    """Types, nesting, order of arrays and any characters survive."""
    given = {
        "int": 2**53 + 1,
        "float": 0.1,
        "whole": 3.0,
        "text": 'ß"\\☃\n',
        "null": None,
        "nested": {"list": [1, [2], {"x": False}], "": "empty key"},
    }
    await filled(store, one(), point(1, {}, **given))
    read = await payload(store, 1)
    assert read == given
    assert isinstance((read or {})["whole"], float)


async def test_retrieve_keeps_the_requests_order(store: VectorStore) -> None:
    """Missing ids are left out and duplicates come once."""
    await filled(store, one(), *(point(number, {}) for number in range(5)))
    records = await store.retrieve(NAME, PointRequest(ids=[4, 9, 0, 4, 2]))
    assert [record.id for record in records] == [4, 0, 2]
    assert records[0].payload is None
    assert records[0].vectors is None
