"""Slices of the ids."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from qdrant_client.local.siphash import siphash24

from service.model.ids import encode_key
from service.stores.postgres.database import Database


@given(
    integers=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20),
    uuids=st.lists(st.uuids(), min_size=1, max_size=20),
)
async def test_the_hash_of_ids_is_siphash(
    database: Database, integers: list[int], uuids: list[UUID]
) -> None:
    """Over 8 little-endian bytes of an integer and the 16 bytes of a UUID."""
    keys = [*map(encode_key, integers), *(encode_key(str(given)) for given in uuids)]
    expected = [siphash24(number.to_bytes(8, "little")) for number in integers]
    expected += [siphash24(given.bytes) for given in uuids]
    async with database.connection() as connection:
        rows = await connection.fetch(
            "SELECT vecferry.point_hash(key) AS hash FROM unnest($1::bytea[]) WITH ORDINALITY"
            " AS given(key, n) ORDER BY n",
            keys,
        )
    assert [int(row["hash"]) for row in rows] == expected
