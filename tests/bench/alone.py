"""vecferry alone on Postgres, with no Qdrant at all, and the embedded Qdrant beside it with the same points."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import orjson

from service.model.operations import CreateIndex, Upsert
from service.model.points import Point
from service.stores.postgres import catalog
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database, Limits
from service.stores.postgres.payload_indexes import sync_indexes
from service.stores.postgres.store import PgStore
from tests.bench.corpus import INDEXES, POINTS, clustered, payloads
from tests.bench.data import DIMENSIONS
from tests.bench.rig import Rig
from tests.processes import free_port, running, wait_for_url

NAME = "corpus"
_DATABASE = "alone"
_BATCH = 2_000
_UPSERT_BATCH = 500


@dataclass(frozen=True, slots=True)
class Alone:
    """The collection as vecferry serves it (``url``) and as it is stored (``database``)."""

    url: str
    dsn: str
    database: Database

    async def tables(self, conn: Connection) -> CollectionTables:
        """Return the collection's tables."""
        return await catalog.get(conn, NAME)


async def alone(rig: Rig) -> Alone:
    """Return the system, started and filled when the first case asks for it."""
    if NAME not in rig.shared:
        rig.shared[NAME] = await _started(rig)
    found: Alone = rig.shared[NAME]
    return found


async def _started(rig: Rig) -> Alone:
    admin = await asyncpg.connect(rig.dsn)
    await admin.execute(f"CREATE DATABASE {_DATABASE}")
    await admin.close()
    dsn = urlunsplit(urlsplit(rig.dsn)._replace(path=f"/{_DATABASE}"))
    port = free_port()
    environment = {
        "VECFERRY_DATABASE_URL": dsn,
        "VECFERRY_PORT": str(port),
        "VECFERRY_CONTROL_PORT": str(free_port()),
        "VECFERRY_DATA_DIR": str(rig.directory / _DATABASE),
        "VECFERRY_DEFAULT_STAGE": "complete",
    }
    serving = await rig.stack.enter_async_context(
        running(_DATABASE, ["serve"], environment, rig.directory)
    )
    url = f"http://127.0.0.1:{port}"
    await wait_for_url(serving, f"{url}/readyz")
    database = await Database.open(dsn, limits=Limits(command=600.0))
    rig.stack.push_async_callback(database.close)
    size = b'{"vectors":{"size":%d,"distance":"Cosine"}}' % DIMENSIONS
    await rig.send("PUT", f"{url}/collections/{NAME}", size)
    await _fill(database)
    return Alone(url, dsn, database)


async def _fill(database: Database) -> None:
    store = PgStore(database, index_min_rows=0)
    vectors, given = clustered(POINTS, seed=1), payloads(POINTS, seed=2)
    for first in range(0, POINTS, _BATCH):
        batch = range(first, min(first + _BATCH, POINTS))
        points = [Point(number, {"": vectors[number]}, given[number]) for number in batch]
        await store.apply(NAME, Upsert(points), wait=True)
    for field, kind in INDEXES.items():
        await store.apply(NAME, CreateIndex(field, kind), wait=True)
    await store.build_indexes(NAME)
    async with database.connection() as conn:
        tables = await catalog.get(conn, NAME)
    await sync_indexes(database, tables)
    async with database.connection() as conn:
        await conn.execute("VACUUM ANALYZE", timeout=600)


async def beside(rig: Rig) -> str:
    """Return the URL of the same collection in the embedded Qdrant, filled when the first case asks for it."""
    url = f"{rig.qdrant}/collections/{NAME}"
    if "beside" not in rig.shared:
        size = b'{"vectors":{"size":%d,"distance":"Cosine"}}' % DIMENSIONS
        await rig.send("PUT", url, size)
        vectors, given = clustered(POINTS, seed=1), payloads(POINTS, seed=2)
        for field, kind in INDEXES.items():
            body = orjson.dumps({"field_name": field, "field_schema": kind})
            await rig.send("PUT", f"{url}/index?wait=true", body)
        for first in range(0, POINTS, _UPSERT_BATCH):
            batch = range(first, min(first + _UPSERT_BATCH, POINTS))
            points = [
                {"id": number, "vector": vectors[number], "payload": given[number]}
                for number in batch
            ]
            body = orjson.dumps({"points": points}, option=orjson.OPT_SERIALIZE_NUMPY)
            await rig.send("PUT", f"{url}/points?wait=true", body)
        rig.shared["beside"] = True
    return url
