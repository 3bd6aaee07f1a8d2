"""Tests of the independent check."""

import asyncpg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient
from qdrant_client.models import PointStruct

from service.model.ids import encode_key, parse_point_id
from service.model.operations import ByIds, Delete, Upsert
from service.model.points import UNNAMED, Payload, Point
from service.model.qdrant import CreateCollection, Distance, VectorParams
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.demo.check import (
    Contents,
    Differs,
    Stored,
    canonical,
    differences,
    id_of_key,
    read_postgres,
    read_qdrant,
)

VECTOR = np.array([0.6, 0.8], dtype=np.float32)


def stored(payload: object = None, vector: object = VECTOR) -> Stored:
    """Return a point as a store would hold it."""
    return Stored(canonical(payload), None if vector is None else np.asarray(vector, np.float32))


def test_equal_contents_do_not_differ() -> None:
    """Key order does not matter, nor do vectors that differ by rounding."""
    one: Contents = {1: stored({"a": 1, "b": [1, 2]}), "x": stored(vector=None)}
    other: Contents = {
        1: stored({"b": [1, 2], "a": 1}, VECTOR + np.float32(5e-7)),
        "x": stored(vector=None),
    }
    assert differences(one, other) == []


def test_a_missing_and_an_extra_point_are_found() -> None:
    """Each side's surplus has its own name."""
    found = differences({1: stored(), 2: stored()}, {2: stored(), 3: stored()})
    assert [(difference.id, difference.differs) for difference in found] == [
        (1, Differs.MISSING),
        (3, Differs.EXTRA),
    ]


@pytest.mark.parametrize(
    "payload", [{"a": 2}, {}, {"a": "1"}, {"a": True}, {"a": 1.0}, {"a": 1, "b": None}, {"a": [1]}]
)
def test_any_change_of_a_payload_is_found(payload: object) -> None:
    """Also those that Python's own equality would let through."""
    (found,) = differences({1: stored({"a": 1})}, {1: stored(payload)})
    assert found.differs is Differs.PAYLOAD


@pytest.mark.parametrize("vector", [[0.6, 0.800002], [0.8, 0.6], None, [0.6], [0.6, float("nan")]])
def test_any_change_of_a_vector_is_found(vector: object) -> None:
    """More than the tolerance, no vector, another shape, and not a number."""
    (found,) = differences({1: stored()}, {1: stored(vector=vector)})
    assert found.differs is Differs.VECTOR


def test_an_integer_and_a_uuid_of_the_same_bits_are_two_points() -> None:
    """The two kinds of id never meet."""
    uuid = "00000000-0000-0000-0000-000000000001"
    assert len(differences({1: stored()}, {uuid: stored()})) == 2


@given(st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str)))
def test_keys_are_decoded_as_they_were_encoded(point_id: int | str) -> None:
    """The hand-made decoding agrees with the product's encoding."""
    assert id_of_key(encode_key(parse_point_id(point_id))) == point_id


@pytest.mark.parametrize("key", [b"\x02" + bytes(16), b"\x00" + bytes(8), b"\x01"])
def test_what_is_not_a_key_is_refused(key: bytes) -> None:
    """A wrong kind or length is an error, not a point."""
    with pytest.raises(ValueError, match="not a key"):
        id_of_key(key)


UUID = "6c2b1c2e-0c3b-4d6e-9a57-3b1f5f5f0a11"
PARAMS = VectorParams(size=2, distance=Distance.COSINE)
PAYLOADS: dict[int | str, Payload] = {
    7: {"text": "sieben", "n": 1},
    2**63 + 5: {},
    UUID: {"list": [1, {"deep": None}]},
}


async def fill_qdrant(url: str, collection: str) -> None:
    """Write three points, and one that is deleted again."""
    client = AsyncQdrantClient(url=url, check_compatibility=False)
    await client.create_collection(collection, vectors_config=PARAMS)
    vector = VECTOR.tolist()
    points = [PointStruct(id=i, vector=vector, payload=p) for i, p in PAYLOADS.items()]
    gone = PointStruct(id=99, vector=vector, payload={})
    await client.upsert(collection, [*points, gone], wait=True)
    await client.delete(collection, [99], wait=True)
    await client.close()


async def fill_postgres(database: Database, collection: str) -> None:
    """Write the same points through the product's own store."""
    store = PgStore(database)
    await store.create_collection(collection, CreateCollection(vectors=PARAMS))
    points = [Point(i, {UNNAMED: VECTOR}, dict(p)) for i, p in PAYLOADS.items()]
    gone = Point(99, {UNNAMED: VECTOR}, {})
    await store.apply(collection, Upsert([*points, gone]), wait=True)
    await store.apply(collection, Delete(ByIds((99,))), wait=True)


async def test_equal_stores_read_equal_and_a_change_by_hand_is_found(
    qdrant_url: str, collection_name: str, database: Database, database_url: str
) -> None:
    """The readers see every point of real stores, tombstones left out, and every tampering."""
    await fill_qdrant(qdrant_url, collection_name)
    await fill_postgres(database, collection_name)
    source = await read_qdrant(qdrant_url, collection_name)
    assert source.keys() == PAYLOADS.keys()
    assert differences(source, await read_postgres(database_url, collection_name)) == []

    connection = await asyncpg.connect(database_url)
    number = await connection.fetchval("SELECT id FROM vecferry.collections")
    await connection.execute(
        f"UPDATE vecferry_data.points_{number} SET payload = '{{}}' WHERE key = $1", encode_key(7)
    )
    await connection.execute(
        f"UPDATE vecferry_data.vectors_{number}_0 SET embedding = '[1,0]' WHERE key = $1",
        encode_key(UUID),
    )
    await connection.execute(
        f"UPDATE vecferry_data.points_{number} SET deleted = true WHERE key = $1",
        encode_key(2**63 + 5),
    )
    await connection.close()
    found = differences(source, await read_postgres(database_url, collection_name))
    assert {(difference.id, difference.differs) for difference in found} == {
        (7, Differs.PAYLOAD),
        (UUID, Differs.VECTOR),
        (2**63 + 5, Differs.MISSING),
    }


async def test_a_collection_without_tables_is_an_error(database_url: str) -> None:
    """An absent collection is never read as an empty one."""
    with pytest.raises(LookupError, match="0 vector tables"):
        await read_postgres(database_url, "user_nobody_transcriptions")
