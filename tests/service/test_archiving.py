"""Exports of a real Qdrant engine and a real Postgres, imported into both, as the commands open them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from hypothesis import Phase, given, settings

from backfill.archive.export import Export, Exported, ExportOptions
from backfill.archive.importing import Import, Imported, ImportOptions
from backfill.archive.side import Side
from service import archiving
from service.archiving import Opened
from service.config import Settings, load
from service.errors import ArchiveError, CollectionNotFound, ConfigurationError, StageError
from service.model.operations import ByIds, CreateIndex, CreateVector, Delete, SetPayload, Upsert
from service.model.points import Point
from service.model.qdrant import (
    ChangeAliasesOperation,
    CountRequest,
    DenseVectorNameConfig,
    Distance,
    ScrollRequest,
)
from service.ports import VectorStore
from tests.backfill.archive.points import CONFIG, exact, fixed, stored_points
from tests.contract.samples import one

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
            exporting = Export(store.store, store.describe, store.origin, chosen)
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


@pytest.fixture
def rig(qdrant_url: str, database_url: str, tmp_path: Path, collection_name: str) -> Rig:
    """Both stores without the collection."""
    found = load(qdrant_url=qdrant_url, database_url=database_url, data_dir=tmp_path / "data")
    return Rig(found, tmp_path / "export", collection_name)


@pytest.fixture
def _other(qdrant_url: str, rig: Rig) -> Iterator[None]:
    """Drops the copy too."""
    yield
    httpx.delete(f"{qdrant_url}/collections/{rig.name}-copy", timeout=30.0)


@pytest.mark.parametrize("start", SIDES)
@pytest.mark.parametrize("end", SIDES)
async def test_a_round_trip(rig: Rig, start: Side, end: Side) -> None:
    """What is read back is what had been there, whichever store it came from and went to."""
    await rig.fill(start, fixed(60))
    before = await rig.contents(start)
    exported = await rig.export(start)
    assert (exported.manifest.rows, len(exported.manifest.entries)) == (60, 9)
    await rig.drop(start)
    imported = await rig.imported(end)
    assert imported.is_clean, imported
    assert (imported.written, imported.counted, imported.made) == (60, 60, True)
    assert [_same(each) for each in await rig.contents(end)] == [_same(each) for each in before]


def _same(point: Point) -> object:
    """As ``exact``, but numbers of a payload by their value: jsonb keeps the value and not the spelling."""
    return exact(replace(point, payload={})), json.dumps(point.payload, sort_keys=True).replace(
        "10000000000000000000000", "1e+22"
    ).replace("-0.0", "0.0")


async def test_from_qdrant_to_qdrant_all_is_exact(rig: Rig) -> None:
    """Spelling of numbers included."""
    await rig.fill(Side.SOURCE, fixed(60))
    await rig.export(Side.SOURCE)
    await rig.drop(Side.SOURCE)
    assert (await rig.imported(Side.SOURCE)).is_clean
    assert [exact(e) for e in await rig.contents(Side.SOURCE)] == [exact(e) for e in fixed(60)]


@settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
@given(given_points=stored_points(most=20))
def test_random_points_go_round(
    qdrant_url: str,
    session_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    given_points: list[Point],
) -> None:
    """From Qdrant to Qdrant to the bit, from there to Postgres and back equal in every value."""
    directory = tmp_path_factory.mktemp("round")
    found = load(qdrant_url=qdrant_url, database_url=session_database_url, data_dir=directory)

    async def go() -> None:
        first = Rig(found, directory / "first", "round")
        second = Rig(found, directory / "second", "round")
        await first.fill(Side.SOURCE, given_points)
        try:
            before = await first.contents(Side.SOURCE)
            await first.export(Side.SOURCE)
            await first.drop(Side.SOURCE)
            assert (await first.imported(Side.SOURCE)).is_clean
            assert list(map(exact, await first.contents(Side.SOURCE))) == list(map(exact, before))
            assert (await first.imported(Side.TARGET)).is_clean
            await second.export(Side.TARGET)
            await first.drop(Side.SOURCE)
            assert (await second.imported(Side.SOURCE)).is_clean
        finally:
            await first.drop(Side.SOURCE)
            await first.drop(Side.TARGET)

    asyncio.run(go())


async def test_what_a_collection_is_goes_too(rig: Rig) -> None:
    """Parameters, payload indexes and, when asked for, aliases."""
    await rig.fill(Side.SOURCE, fixed(3))
    alias = f"{rig.name}-alias"
    async with rig.open(Side.SOURCE) as store:
        await store.store.apply(rig.name, CreateIndex("n", "integer"), wait=True)
        await store.store.change_aliases(_alias(alias, rig.name))
        before = await store.describe(rig.name)
    await rig.export(Side.SOURCE)
    await rig.drop(Side.SOURCE)
    assert (await rig.imported(Side.SOURCE)).notes == [
        f"aliases not made (--aliases makes them): {alias}"
    ]
    assert (await rig.imported(Side.SOURCE, aliases=True)).notes == [
        "the collection was there: its parameters and payload indexes stay as they are"
    ]
    async with rig.open(Side.SOURCE) as store:
        assert await store.describe(rig.name) == before
        assert before.aliases == [alias]
        assert dict(before.payload_schema) == {"n": "integer"}


def _alias(alias: str, name: str) -> list[object]:
    action = {"create_alias": {"alias_name": alias, "collection_name": name}}
    return list(ChangeAliasesOperation.model_validate({"actions": [action]}).actions)


@pytest.mark.usefixtures("_other")
async def test_an_alias_is_not_taken_from_another_collection(rig: Rig) -> None:
    """Nothing is written then; nor is to a name that is an alias."""
    await rig.fill(Side.SOURCE, fixed(3))
    alias = f"{rig.name}-alias"
    async with rig.open(Side.SOURCE) as store:
        await store.store.change_aliases(_alias(alias, rig.name))
    await rig.export(Side.SOURCE)
    with pytest.raises(ArchiveError, match=f"the alias `{alias}` stands for `{rig.name}`"):
        await rig.imported(Side.SOURCE, name=f"{rig.name}-copy", aliases=True)
    with pytest.raises(ArchiveError, match="is an alias of"):
        await rig.imported(Side.SOURCE, name=alias)
    async with rig.open(Side.SOURCE) as store:
        assert not await store.store.has_collection(f"{rig.name}-copy")


async def test_an_empty_collection_goes_round(rig: Rig) -> None:
    """It has a manifest and no file."""
    await rig.fill(Side.SOURCE, [])
    exported = await rig.export(Side.SOURCE)
    assert (exported.manifest.complete, exported.manifest.entries) == (True, ())
    assert (await rig.imported(Side.TARGET)).is_clean
    assert await rig.contents(Side.TARGET) == []


async def test_a_finished_export_is_left_alone(rig: Rig) -> None:
    """Until somebody asks for a new one, which leaves nothing of the old one."""
    await rig.fill(Side.SOURCE, fixed(30))
    first = await rig.export(Side.SOURCE)
    async with rig.open(Side.SOURCE) as store:
        await store.store.apply(
            rig.name, Delete(ByIds(tuple(p.id for p in fixed(30)[9:]))), wait=True
        )
    again = await rig.export(Side.SOURCE)
    assert (again.was_done, again.manifest.digest) == (True, first.manifest.digest)
    anew = await rig.export(Side.SOURCE, restart=True)
    assert (anew.was_done, anew.manifest.rows) == (False, 9)
    assert len(list(rig.directory.glob("points-*"))) == 2


async def test_a_directory_of_something_else_is_not_touched(rig: Rig) -> None:
    """Of another collection, or begun from the other store."""
    await rig.fill(Side.SOURCE, fixed(3))
    done = (await rig.export(Side.SOURCE)).manifest
    with pytest.raises(ArchiveError, match=f"holds an export of `{rig.name}`, not of `other`"):
        await replace(rig, name="other").export(Side.SOURCE)
    replace(done, complete=False).save(rig.directory)
    with pytest.raises(ArchiveError, match="begun from the source: go on with --from source"):
        await rig.export(Side.TARGET)


async def test_a_vector_that_comes_meanwhile_ends_the_export(rig: Rig) -> None:
    """A resumed export of other vectors would be of two collections."""
    await rig.fill(Side.SOURCE, fixed(10))
    done = (await rig.export(Side.SOURCE)).manifest
    replace(done, complete=False, entries=done.entries[:1], next=done.entries[1].first).save(
        rig.directory
    )
    config = DenseVectorNameConfig.model_validate({"dense": {"size": 2, "distance": "Dot"}})
    async with rig.open(Side.SOURCE) as store:
        await store.store.apply(rig.name, CreateVector("late", config), wait=True)
    with pytest.raises(
        ArchiveError, match=r"was changed since .* \(vectors.late is not in the export\)"
    ):
        await rig.export(Side.SOURCE)


async def test_two_exports_do_not_share_a_directory(rig: Rig) -> None:
    """The second one says so at once."""
    await rig.fill(Side.SOURCE, fixed(30))

    async def second(_done: int, _total: int | None) -> None:
        with pytest.raises(ArchiveError, match="is in use by another process"):
            await rig.export(Side.SOURCE)

    tried = []
    async with rig.open(Side.SOURCE) as store, asyncio.TaskGroup() as tasks:
        exporting = Export(
            store.store, store.describe, store.origin, ExportOptions(rows_per_file=7)
        )
        await exporting.run(
            rig.name, rig.directory, lambda d, t: tried.append(tasks.create_task(second(d, t)))
        )
    assert tried


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("at", [0, 100, -1])
async def test_a_changed_byte_is_found_before_anything_is_written(rig: Rig, at: int) -> None:
    """The error names the file, and the collection is not even made."""
    await rig.fill(Side.SOURCE, fixed(30))
    await rig.export(Side.SOURCE)
    _flip(rig.directory / "points-000003.parquet", at)
    with pytest.raises(ArchiveError, match=r"points-000003\.parquet is damaged: its sha256 is"):
        await rig.imported(Side.TARGET)
    async with rig.open(Side.TARGET) as store:
        assert not await store.store.has_collection(rig.name)


async def test_a_file_that_is_short_or_gone_is_named(rig: Rig) -> None:
    """Both before anything is written."""
    await rig.fill(Side.SOURCE, fixed(30))
    await rig.export(Side.SOURCE)
    path = rig.directory / "points-000002.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArchiveError, match=r"points-000002\.parquet is damaged: it has \d+ bytes"):
        await rig.imported(Side.TARGET)
    path.unlink()
    with pytest.raises(ArchiveError, match=r"cannot read .*points-000002\.parquet: No such file"):
        await rig.imported(Side.TARGET)


async def test_an_unfinished_export_is_not_imported(rig: Rig) -> None:
    """It says how to finish it."""
    await rig.fill(Side.SOURCE, fixed(3))
    done = (await rig.export(Side.SOURCE)).manifest
    replace(done, complete=False).save(rig.directory)
    with pytest.raises(ArchiveError, match="is not complete: run the same"):
        await rig.imported(Side.TARGET)


async def test_another_configuration_is_refused(rig: Rig) -> None:
    """With the field and both values; nothing is written."""
    await rig.fill(Side.SOURCE, fixed(3))
    await rig.export(Side.SOURCE)
    async with rig.open(Side.TARGET) as store:
        await store.store.create_collection(rig.name, one(size=3, distance=Distance.COSINE))
        with pytest.raises(
            ArchiveError, match=r"vectors\.distance is Cosine, in the export it is Dot"
        ):
            await rig.imported(Side.TARGET)
        assert await store.store.count(rig.name, CountRequest()) == 0


async def test_refused_points_are_named_and_the_others_written(rig: Rig) -> None:
    """Postgres has no NUL: the import goes on without these points, counts the rest and is not clean."""
    await rig.fill(Side.SOURCE, fixed(40))
    bad = (fixed(40)[3].id, fixed(40)[17].id)
    async with rig.open(Side.SOURCE) as store:
        await store.store.apply(rig.name, SetPayload(ByIds(bad), {"s": "\0"}), wait=True)
    await rig.export(Side.SOURCE)
    imported = await rig.imported(Side.TARGET)
    assert not imported.is_clean
    assert {each.id for each in imported.refused} == set(bad)
    assert all("unsupported Unicode escape" in each.reason for each in imported.refused)
    assert (imported.written, imported.counted, imported.mismatches) == (38, 38, [])
    assert len(imported.refusals.read_text().splitlines()) == 2


async def test_points_that_differ_afterwards_are_found(rig: Rig) -> None:
    """A count alone would not see it."""
    await rig.fill(Side.SOURCE, fixed(20))
    await rig.export(Side.SOURCE)
    await rig.fill(Side.TARGET, [Point(999, {}, {})])
    changed = fixed(20)[4].id

    async with rig.open(Side.TARGET) as store:

        class Forgetful(type(store.store)):  # type: ignore[misc]  # the store's own class
            """Loses a change."""

            async def apply(self, collection: str, operation: object, *, wait: bool) -> object:
                result = await super().apply(collection, operation, wait=wait)
                if isinstance(operation, Upsert):
                    change = SetPayload(ByIds((changed,)), {"n": -1})
                    await super().apply(collection, change, wait=True)
                return result

        store.store.__class__ = Forgetful
        importing = Import(store.into(rig.name), ImportOptions(verify=True))
        imported = await importing.run(rig.directory, rig.directory, lambda _d, _t: None)
    assert [(each.id, each.kinds) for each in imported.mismatches or ()] == [
        (changed, ("payload",))
    ]
    assert not imported.is_clean


async def test_an_import_goes_on_where_it_was(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended after any batch, it writes the rest only; a collection that was dropped meanwhile gets all of it."""
    await rig.fill(Side.SOURCE, fixed(60))
    await rig.export(Side.SOURCE)
    await _interrupted(rig, after=3)
    seen: list[int] = []
    async with rig.open(Side.TARGET) as store:
        importing = Import(store.into(rig.name), ImportOptions(verify=True))
        imported = await importing.run(rig.directory, rig.directory, lambda d, _t: seen.append(d))
    assert imported.is_clean
    assert (imported.written, imported.counted, seen[0]) == (60, 60, 28)
    assert not list(rig.directory.glob("import-*.json"))
    await rig.drop(Side.TARGET)
    await _interrupted(rig, after=3)
    await rig.drop(Side.TARGET)
    imported = await rig.imported(Side.TARGET)
    assert (imported.is_clean, imported.counted) == (True, 60)


async def _interrupted(rig: Rig, *, after: int) -> None:
    class Stop(Exception):
        pass

    seen: list[int] = []

    def stop(done: int, _total: int | None) -> None:
        seen.append(done)
        if len(seen) == after:
            raise Stop

    async with rig.open(Side.TARGET) as store:
        with pytest.raises(Stop):
            await Import(store.into(rig.name)).run(rig.directory, rig.directory, stop)


async def test_without_an_address_the_way_is_through_the_proxy(rig: Rig) -> None:
    """An embedded engine belongs to the instance that started it."""
    bare = Settings(data_dir=rig.directory)
    for side, setting in ((Side.SOURCE, "QDRANT_URL"), (Side.TARGET, "DATABASE_URL")):
        with pytest.raises(ConfigurationError, match=f"VECFERRY_{setting} is not set.*proxy"):
            async with archiving.opened(bare, side, url=None):
                pass


async def test_a_pattern_names_several_collections(rig: Rig) -> None:
    """One that names none is an error; a name with brackets is taken as it is."""
    async with rig.open(Side.TARGET) as store:
        for name in ("a[1]", "a1", "b"):
            await store.store.create_collection(name, CONFIG)
        assert await archiving.matching(store.store, "a[1]") == ["a[1]"]
        assert await archiving.matching(store.store, "a*") == ["a1", "a[1]"]
        with pytest.raises(CollectionNotFound):
            await archiving.matching(store.store, "c*")


def test_an_address_is_shown_without_a_password() -> None:
    """It goes into manifests."""
    assert (
        archiving.shown("postgresql://me:secret@db:5432/v?sslmode=require")
        == "postgresql://db:5432/v"
    )
    assert archiving.shown("http://127.0.0.1:6333") == "http://127.0.0.1:6333"
