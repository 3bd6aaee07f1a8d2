"""Imports that find damage, refuse, stop half way, and say what differs."""

from dataclasses import replace
from pathlib import Path

import pytest

from backfill.archive.importing import Import, ImportOptions
from backfill.archive.side import Side
from service.config import load
from service.errors import ArchiveError
from service.model.operations import ByIds, SetPayload, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    Distance,
)
from tests.backfill.archive.points import fixed
from tests.contract.samples import one
from tests.service.archives import Rig


@pytest.fixture
def rig(qdrant_url: str, database_url: str, tmp_path: Path, collection_name: str) -> Rig:
    """Both stores without the collection."""
    found = load(qdrant_url=qdrant_url, database_url=database_url, data_dir=tmp_path / "data")
    return Rig(found, tmp_path / "export", collection_name)


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
