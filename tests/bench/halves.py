"""The two halves of a backfill, each run alone in this process: ``python -m tests.bench.halves QDRANT DSN COLLECTION``.

Prints the seconds of both as JSON: scrolling and decoding every page of the source and nothing else, and inserting
those pages, which are in memory by then, into the collection's empty tables.
"""

import asyncio
import gc
import sys
import time

import orjson

from backfill.pages import point_of
from service.garbage import collect_rarely
from service.model.points import Page, Point
from service.model.qdrant import ScrollRequest
from service.serving import loop_factory
from service.stores.postgres import catalog, writes
from service.stores.postgres.database import Database
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore

_PAGE = 1_000
"""As large as a page of the backfill is at most."""


async def _halves(qdrant: str, dsn: str, collection: str) -> dict[str, float]:
    collect_rarely()
    async with QdrantHttp(qdrant) as http:
        read_seconds, pages = await _read(QdrantStore(http), collection)
    database = await Database.open(dsn)
    try:
        return {"read": read_seconds, "write": await _write(database, collection, pages)}
    finally:
        await database.close()


async def _read(source: QdrantStore, collection: str) -> tuple[float, list[list[Point]]]:
    seconds, pages = 0.0, []
    page: Page | None = None
    while page is None or page.next_id is not None:
        offset = None if page is None else page.next_id
        request = ScrollRequest(offset=offset, limit=_PAGE, with_payload=True, with_vector=True)
        began = time.perf_counter()
        page = await source.scroll(collection, request)
        points = [point_of(record) for record in page.records]
        seconds += time.perf_counter() - began
        pages.append(points)
        # What is kept here would be searched for garbage again and again; a backfill keeps nothing.
        gc.freeze()
    return seconds, pages


async def _write(database: Database, collection: str, pages: list[list[Point]]) -> float:
    async with database.connection() as connection:
        tables = await catalog.get(connection, collection)
    began = time.perf_counter()
    for page in pages:
        async with database.transaction() as connection:
            written = await writes.insert_missing(connection, tables, page)
        if written != len(page):
            message = f"the tables of {collection} were not empty"
            raise RuntimeError(message)
    return time.perf_counter() - began


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory()) as _runner:
        sys.stdout.write(orjson.dumps(_runner.run(_halves(*sys.argv[1:]))).decode())
