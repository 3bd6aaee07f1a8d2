"""A field with odd values in Postgres and in Qdrant's engine, for what reads a payload index: order_by and facets."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from service.model.operations import CreateIndex, Upsert
from service.model.points import Payload, Point
from service.model.qdrant import CreateCollection
from service.stores.postgres.store import PgStore
from tests.service.translate import engine

NAME = "things"
UUIDS = ("550e8400-e29b-41d4-a716-446655440000", "00000000-0000-0000-0000-00000000000a")
ODD: tuple[Any, ...] = (
    None, True, False, [True, False, True], "", "a", "A", "b", "é", "z", "3", "bad", {"x": 1}, [], [None], {},
    0, 0.0, 1, -1, 3, 3.0, 2.5, -2.5, 3.7, [7, 3, 3], [[1, 2], 3], ["a", "A", "b"], [2, "a", None, 2.5],
    2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 1e19, -9.3e18, 1e300, 1e-300,
    UUIDS[0], UUIDS[0].upper(), UUIDS[0].replace("-", ""), f"urn:uuid:{UUIDS[0]}", f"{{{UUIDS[0]}}}",
    f"{{{UUIDS[0].replace('-', '')}}}", f"URN:UUID:{UUIDS[0]}", list(UUIDS), UUIDS[0][:-1],
    "2020-01-01T00:00:00Z", "2020-01-01", "2019-12-31T23:59:59.123456789+02:00", "1969-12-31T23:59:59.5Z",
    ["2021-01-01", "bad", 5], "2021-01-01 10:00", "2020-13-01", "0001-01-01T00:00:00Z",
)  # fmt: skip
INDEXES: Mapping[str, Any] = {
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
    "datetime": edge.PayloadSchemaType.Datetime,
    "keyword": edge.PayloadSchemaType.Keyword,
    "bool": edge.PayloadSchemaType.Bool,
    "uuid": edge.PayloadSchemaType.Uuid,
    "geo": edge.PayloadSchemaType.Geo,
    "text": edge.PayloadSchemaType.Text,
}
PATHS = ("k", "n.k", "l[].k", "l[0].k", "l.k")


def payloads(seed: int) -> dict[int, Payload]:
    """Return payloads by id in which every odd value stands alone, and some stand together."""
    chosen = random.Random(seed)
    values = [*ODD, *(chosen.choice(ODD) for _ in range(40))]
    return {
        number: {
            "k": value,
            "n": {"k": value},
            "l": [{"k": value}, {"k": chosen.choice(ODD)}, chosen.choice(ODD)],
        }
        for number, value in enumerate(values)
    }


@contextmanager
def shard(folder: Path, given: Mapping[int, Payload], kind: str) -> Iterator[edge.EdgeShard]:
    """The engine with these payloads and an index of one kind on every path."""
    with engine.opened(folder) as opened:
        engine.store(opened, given)
        for path in PATHS:
            opened.update(edge.UpdateOperation.create_field_index(path, INDEXES[kind]))
        yield opened


async def fill(store: PgStore, given: Mapping[int, Payload], schema: Any) -> None:
    """Make a collection with these payloads and an index on every path."""
    await store.create_collection(NAME, CreateCollection(vectors={}))
    points = [Point(number, {}, payload) for number, payload in given.items()]
    await store.apply(NAME, Upsert(points), wait=True)
    for path in PATHS:
        await store.apply(NAME, CreateIndex(path, schema), wait=True)
