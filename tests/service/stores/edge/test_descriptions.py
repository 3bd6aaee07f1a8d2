"""What survives a restart and an index build of the engine: named vectors, aliases, limits of strict mode."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from service.errors import BadRequest, CollectionNotFound
from service.model.operations import CreateVector, DeleteVector, UpdateVectors, Upsert
from service.model.qdrant import (
    ChangeAliasesOperation,
    CollectionStatus,
    CountRequest,
    DenseVectorNameConfig,
    HnswConfigDiff,
    QueryRequest,
    ScrollRequest,
    StrictModeConfig,
    UpdateCollection,
    UpdateStatus,
    VectorNameConfig,
)
from service.stores.edge.aliases import FILE
from service.stores.edge.settings import EngineSettings
from service.stores.edge.store import EdgeStore
from tests.service.stores.edge.data import fill, plain, point

pytestmark = pytest.mark.asyncio(loop_scope="session")

SETTINGS = EngineSettings(idle=0.1, cooldown=0.1)
NEW: VectorNameConfig = DenseVectorNameConfig.model_validate(
    {"dense": {"size": 2, "distance": "Dot"}}
)


async def _name(store: EdgeStore, alias: str, collection: str) -> None:
    action = {"create_alias": {"alias_name": alias, "collection_name": collection}}
    change = ChangeAliasesOperation.model_validate({"actions": [action]})
    await store.change_aliases(change.actions)


async def _rebuilt(store: EdgeStore, name: str) -> None:
    """Change a parameter and wait until the vectors are indexed with it."""
    await store.update_collection(
        name, UpdateCollection(hnsw_config=HnswConfigDiff(ef_construct=33))
    )
    async with asyncio.timeout(60):
        while True:
            if (await store.collection_info(name)).status is CollectionStatus.GREEN:
                return
            await asyncio.sleep(0.05)


async def test_named_vectors_survive_rebuild_and_restart(tmp_path: Path) -> None:
    """A vector that was added keeps its values, one that was dropped stays away."""
    async with EdgeStore(tmp_path, processes=1, settings=SETTINGS) as store:
        await fill(store, "c", [{}, {}])
        made = await store.apply("c", CreateVector("new", NEW), wait=False)
        assert made.status is UpdateStatus.ACKNOWLEDGED
        values = {"new": np.array([1, 2], np.float32)}
        await store.apply("c", UpdateVectors([(1, values)]), wait=True)
        await _rebuilt(store, "c")
        await store.apply("c", DeleteVector(""), wait=True)
        await _rebuilt(store, "c")
    async with EdgeStore(tmp_path, processes=1, settings=SETTINGS) as store:
        page = await store.scroll("c", ScrollRequest(with_vector=True))
        assert [set(record.vectors or {}) for record in page.records] == [set(), {"new"}]
        hits = await store.query("c", QueryRequest(query=[1.0, 1.0], using="new"))
        assert [(hit.id, hit.score) for hit in hits] == [(1, 3.0)]
        config = (await store.collection_info("c")).config
        assert isinstance(config.params.vectors, dict)
        assert set(config.params.vectors) == {"new"}
        # The last one goes, too: what is left is a collection without vectors that still indexes.
        await store.apply("c", DeleteVector("new"), wait=True)
        await _rebuilt(store, "c")
        assert await store.count("c", CountRequest()) == 2


async def test_aliases_survive_a_restart(tmp_path: Path) -> None:
    """They are on the disk before the change is answered, whole, and go with their collection."""
    async with EdgeStore(tmp_path, processes=1) as store:
        for name in ("c", "d"):
            await store.create_collection(name, plain())
        await _name(store, "one", "c")
        await _name(store, "two", "d")
        assert json.loads((tmp_path / FILE).read_bytes()) == {"one": "c", "two": "d"}
    async with EdgeStore(tmp_path, processes=2) as store:
        assert await store.aliases() == {"one": "c", "two": "d"}
        await store.apply("one", Upsert([point(1)]), wait=True)
        assert await store.count("c", CountRequest()) == 1
        await store.delete_collection("c")
        assert json.loads((tmp_path / FILE).read_bytes()) == {"two": "d"}
        with pytest.raises(CollectionNotFound, match="Collection `one` doesn't exist!"):
            await store.count("one", CountRequest())


async def test_strict_mode_is_kept(tmp_path: Path) -> None:
    """Limits hold through aliases, after a change and after a restart, and not for other collections."""
    strict = StrictModeConfig(enabled=True, max_query_limit=3)
    many = ScrollRequest(limit=4)
    async with EdgeStore(tmp_path, processes=1) as store:
        await store.create_collection("c", plain(strict_mode_config=strict))
        await store.create_collection("d", plain())
        await _name(store, "one", "c")
    async with EdgeStore(tmp_path, processes=1) as store:
        for name in ("c", "one"):
            with pytest.raises(BadRequest, match="Limit exceeded 4 > 3"):
                await store.scroll(name, many)
        await store.scroll("d", many)
        await store.update_collection("d", UpdateCollection(strict_mode_config=strict))
        with pytest.raises(BadRequest, match="Limit exceeded 4 > 3"):
            await store.scroll("d", many)
