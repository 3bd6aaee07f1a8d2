"""Exports of a real Qdrant engine and a real Postgres, imported into both, as the commands open them."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import Phase, given, settings

from backfill.archive.export import Export, ExportOptions
from backfill.archive.side import Side
from service import archiving
from service.config import Settings, load
from service.errors import ArchiveError, CollectionNotFound, ConfigurationError
from service.model.operations import ByIds, CreateIndex, CreateVector, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import (
    AliasOperations,
    ChangeAliasesOperation,
    CreateCollection,
    Datatype,
    DenseVectorNameConfig,
    Distance,
    VectorParams,
)
from tests.backfill.archive.points import CONFIG, exact, fixed, stored_points
from tests.service.archives import SIDES, Rig


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


@pytest.mark.parametrize("end", SIDES)
async def test_normalised_and_narrow_vectors_verify(rig: Rig, end: Side) -> None:
    """What a store makes of its own normalised, halved or cut vectors is equal to them."""
    rng = np.random.default_rng(11)
    config = CreateCollection(
        vectors={
            "cosine": VectorParams(size=8, distance=Distance.COSINE),
            "half": VectorParams(size=8, distance=Distance.COSINE, datatype=Datatype.FLOAT16),
            "bytes": VectorParams(size=3, distance=Distance.DOT, datatype=Datatype.UINT8),
        }
    )
    given_points = [
        Point(n, {"cosine": rng.random(8, np.float32), "half": rng.random(8, np.float32),
                  "bytes": np.floor(rng.random(3, np.float32) * 255)}, {})
        for n in range(40)
    ]  # fmt: skip
    async with rig.open(Side.SOURCE) as store:
        await store.store.create_collection(rig.name, config)
        await store.store.apply(rig.name, Upsert(given_points), wait=True)
    before = {each.id: each.vectors for each in await rig.contents(Side.SOURCE)}
    await rig.export(Side.SOURCE)
    await rig.drop(Side.SOURCE)
    imported = await rig.imported(end)
    assert imported.is_clean, imported
    for point in await rig.contents(end):
        for name in ("cosine", "bytes"):
            assert np.array_equal(
                np.asarray(point.vectors[name]), np.asarray(before[point.id][name])
            )


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


def _alias(alias: str, name: str) -> list[AliasOperations]:
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
