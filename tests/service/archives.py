"""Both stores as the commands open them, and exports of a collection between them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backfill.archive.export import Export, Exported, ExportOptions
from backfill.archive.importing import Import, Imported, ImportOptions
from backfill.archive.side import Side
from service import archiving
from service.archiving import Opened
from service.config import Settings
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import (
    ScrollRequest,
)
from service.ports import VectorStore
from tests.backfill.archive.points import CONFIG

SIDES = [Side.SOURCE, Side.TARGET]


@dataclass(frozen=True)
class Rig:
    """Both stores, as the commands open them."""

    settings: Settings
    directory: Path
    name: str

    @asynccontextmanager
    async def open(self, side: Side) -> AsyncIterator[Opened]:
        async with archiving.opened(self.settings, side, url=None, writes=True) as store:
            yield store

    async def export(self, side: Side, **options: object) -> Exported:
        """Export with small files."""
        chosen = ExportOptions(**{"rows_per_file": 7, **options})  # type: ignore[arg-type]  # options
        async with self.open(side) as store:
            exporting = Export(store.reader, store.describe, store.origin, chosen)
            return await exporting.run(self.name, self.directory, lambda _done, _total: None)

    async def imported(self, side: Side, *, name: str | None = None, **options: object) -> Imported:
        """Import and verify."""
        chosen = ImportOptions(**{"verify": True, **options})  # type: ignore[arg-type]  # options
        async with self.open(side) as store:
            importing = Import(store.into(name or self.name), chosen)
            return await importing.run(self.directory, self.directory, lambda _done, _total: None)

    async def fill(self, side: Side, given: Sequence[Point], name: str | None = None) -> None:
        """Make the collection with these points."""
        async with self.open(side) as store:
            await store.store.create_collection(name or self.name, CONFIG)
            if given:
                await store.store.apply(name or self.name, Upsert(given), wait=True)

    async def drop(self, side: Side) -> None:
        async with self.open(side) as store:
            await store.store.delete_collection(self.name)

    async def contents(self, side: Side, name: str | None = None) -> list[Point]:
        """Return all points of the collection."""
        async with self.open(side) as store:
            return await _contents(store.store, name or self.name)


async def _contents(store: VectorStore, name: str) -> list[Point]:
    request = ScrollRequest(limit=10_000, with_payload=True, with_vector=True)
    page = await store.scroll(name, request)
    return [Point(each.id, each.vectors or {}, each.payload or {}) for each in page.records]
