"""Named vectors that come and go, aliases, and the values of a field, in every store."""

from typing import Any

import numpy as np
import pytest

from service.errors import (
    AliasNotFound,
    CollectionExists,
    CollectionNotFound,
    PointNotFound,
    WrongInput,
)
from service.model.operations import (
    CreateIndex,
    CreateVector,
    Delete,
    DeleteVector,
    UpdateVectors,
    Upsert,
)
from service.model.points import FacetHit
from service.model.qdrant import (
    ChangeAliasesOperation,
    CountRequest,
    CreateCollection,
    DenseVectorNameConfig,
    FacetRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    SparseVectorNameConfig,
    UpdateCollection,
    VectorNameConfig,
)
from service.ports import VectorStore
from tests.contract.samples import NAME, filled, ids, one, point, two

OTHER = "others"


def _dense(**config: Any) -> VectorNameConfig:
    given = {"size": 2, "distance": "Dot", **config}
    return DenseVectorNameConfig.model_validate({"dense": given})


def _sparse(**config: Any) -> VectorNameConfig:
    return SparseVectorNameConfig.model_validate({"sparse": config})


async def _change(store: VectorStore, *actions: dict[str, Any]) -> None:
    change = ChangeAliasesOperation.model_validate({"actions": list(actions)})
    assert await store.change_aliases(change.actions)


def _create(alias: str, collection: str = NAME) -> dict[str, Any]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}


def _delete(alias: str) -> dict[str, Any]:
    return {"delete_alias": {"alias_name": alias}}


def _rename(old: str, new: str) -> dict[str, Any]:
    return {"rename_alias": {"old_alias_name": old, "new_alias_name": new}}


async def test_a_vector_comes_and_goes(store: VectorStore) -> None:
    """Points have it once it is written; with it go its vectors, and a new one of the name starts empty."""
    await filled(store, one(), point(1, {"": [1, 2]}), point(2, {"": [3, 4]}))
    await store.apply(NAME, CreateVector("new", _dense()), wait=True)
    new = {"new": np.array([5, 6], np.float32)}
    await store.apply(NAME, UpdateVectors([(1, new)]), wait=True)
    wanted = QueryRequest(query=[1.0, 0.0], using="new")
    assert [(hit.id, hit.score) for hit in await store.query(NAME, wanted)] == [(1, 5.0)]
    params = (await store.collection_info(NAME)).config.params.vectors
    assert isinstance(params, dict)
    assert set(params) == {"", "new"}
    await store.apply(NAME, DeleteVector("new"), wait=True)
    records = await store.retrieve(NAME, PointRequest(ids=[1], with_vector=True))
    assert set(records[0].vectors or {}) == {""}
    with pytest.raises(WrongInput, match="Not existing vector name error: new"):
        await store.query(NAME, wanted)
    await store.apply(NAME, CreateVector("new", _dense()), wait=True)
    assert await store.query(NAME, wanted) == []


async def test_a_vector_is_made_once(store: VectorStore) -> None:
    """The same again changes nothing, anything else of that name is refused; removing what is not there is fine."""
    await store.create_collection(NAME, two())
    await store.apply(NAME, CreateVector("text", _dense(distance="Cosine")), wait=True)
    for config, reason in (
        (_dense(), "Vector `text` already exists with a different configuration"),
        (_sparse(), "Vector `text` already exists as a dense vector"),
    ):
        with pytest.raises(WrongInput, match=reason):
            await store.apply(NAME, CreateVector("text", config), wait=True)
    await store.apply(NAME, CreateVector("words", _sparse(modifier="idf")), wait=True)
    with pytest.raises(WrongInput, match="Vector `words` already exists as a sparse vector"):
        await store.apply(NAME, CreateVector("words", _dense()), wait=True)
    with pytest.raises(WrongInput, match="Sparse vector `words` already exists with a different"):
        await store.apply(NAME, CreateVector("words", _sparse()), wait=True)
    await store.apply(NAME, DeleteVector("nope"), wait=True)


async def test_the_first_and_the_last_vector(store: VectorStore) -> None:
    """A collection may have none before and after."""
    await filled(store, CreateCollection(), point(1, {}, a=1))
    await store.apply(NAME, CreateVector("only", _dense()), wait=True)
    await store.apply(NAME, Upsert([point(2, {"only": [1, 2]})]), wait=True)
    await store.apply(NAME, DeleteVector("only"), wait=True)
    page = await store.scroll(NAME, ScrollRequest(with_vector=True))
    assert [(record.id, record.vectors) for record in page.records] == [(1, {}), (2, {})]


async def test_an_alias_stands_for_its_collection(store: VectorStore) -> None:
    """Reads, writes and look-ups follow it; it exists, and is not listed as a collection."""
    await filled(store, one(), point(1, {"": [1, 2]}, n=1), point(2, {"": [3, 4]}, n=2))
    await _change(store, _create("alias"))
    assert await store.aliases() == {"alias": NAME}
    assert await store.has_collection("alias")
    assert await store.collections() == [NAME]
    await store.apply("alias", Upsert([point(3, {"": [5, 6]})]), wait=True)
    assert await store.count("alias", CountRequest()) == 3
    assert [hit.id for hit in await store.query("alias", QueryRequest(query=1))] == [3, 2]
    await store.apply("alias", CreateIndex("n", "integer"), wait=True)
    assert await store.facet("alias", FacetRequest(key="n")) == [FacetHit(1, 1), FacetHit(2, 1)]
    assert await store.update_collection("alias", UpdateCollection(metadata={"a": 1}))
    assert (await store.collection_info(NAME)).config.metadata == {"a": 1}
    await store.create_collection(OTHER, one())
    looked_up = QueryRequest.model_validate({"query": 1, "lookup_from": {"collection": "alias"}})
    await store.apply(OTHER, Upsert([point(1, {"": [1, 0]})]), wait=True)
    assert [hit.id for hit in await store.query(OTHER, looked_up)] == [1]


async def test_aliases_are_moved_renamed_and_dropped(store: VectorStore) -> None:
    """A list is one step; dropping the collection drops its aliases, dropping by an alias drops nothing."""
    for name in (NAME, OTHER):
        await store.create_collection(name, one())
    await _change(store, _create("a"), _create("b"))
    await _change(store, _delete("a"), _create("a", OTHER), _rename("b", "c"), _delete("nope"))
    assert await store.aliases() == {"a": OTHER, "c": NAME}
    assert not await store.delete_collection("c")
    await store.delete_collection(NAME)
    assert await store.aliases() == {"a": OTHER}
    assert not await store.has_collection("c")


async def test_aliases_that_cannot_be(store: VectorStore) -> None:
    """Each is refused with Qdrant's text, and nothing of its list is done."""
    for name in (NAME, OTHER):
        await store.create_collection(name, one())
    await _change(store, _create("there"))
    cases: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        (_create("x", "nope"), CollectionNotFound, "Collection `nope` doesn't exist!"),
        (_create("x", "there"), CollectionNotFound, "Collection `there` doesn't exist!"),
        (_create(OTHER), CollectionExists, f"Collection `{OTHER}` already exists!"),
        (_rename("nope", "x"), AliasNotFound, "Alias nope does not exists!"),
    )
    for action, error, reason in cases:
        with pytest.raises(error, match=reason):
            await _change(store, _create("first"), action)
    assert await store.aliases() == {"there": NAME}
    with pytest.raises(WrongInput, match="Can't create collection with name there"):
        await store.create_collection("there", one())


async def test_facets(store: VectorStore) -> None:
    """Counted once per point and value, the most frequent first, then by value; not without an index."""
    await filled(
        store,
        one(),
        point(1, {}, k=["a", "b", "a"], b=True),
        point(2, {}, k="b", b=False),
        point(3, {}, k="c", b=[True, False]),
        point(4, {}, k=7),
    )
    with pytest.raises(WrongInput, match="No appropriate index for faceting: `k`"):
        await store.facet(NAME, FacetRequest(key="k"))
    await store.apply(NAME, CreateIndex("k", "keyword"), wait=True)
    await store.apply(NAME, CreateIndex("b", "bool"), wait=True)
    found = await store.facet(NAME, FacetRequest(key="k", exact=True))
    assert found == [FacetHit("b", 2), FacetHit("a", 1), FacetHit("c", 1)]
    assert await store.facet(NAME, FacetRequest(key="k", limit=1)) == [FacetHit("b", 2)]
    found = await store.facet(NAME, FacetRequest(key="b", exact=True))
    assert [(hit.value, hit.count) for hit in found] == [(False, 2), (True, 2)]


async def test_an_order_shows_its_values(store: VectorStore) -> None:
    """A number, or microseconds since 1970; a point with several values comes once per value."""
    await filled(
        store,
        one(),
        point(1, {}, n=[3, 1], t="1970-01-01T00:00:01Z"),
        point(2, {}, n=2, t="1970-01-02"),
        point(3, {}),
    )
    await store.apply(NAME, CreateIndex("n", "integer"), wait=True)
    await store.apply(NAME, CreateIndex("t", "datetime"), wait=True)
    page = await store.scroll(NAME, ScrollRequest(order_by="n"))
    assert [(each.id, each.order_value) for each in page.records] == [(1, 1), (2, 2), (1, 3)]
    assert page.next_id is None
    down = ScrollRequest.model_validate({"order_by": {"key": "t", "direction": "desc"}})
    page = await store.scroll(NAME, down)
    moments = [(each.id, each.order_value) for each in page.records]
    assert moments == [(2, 86_400_000_000), (1, 1_000_000)]


async def test_ids_of_another_collection(store: VectorStore) -> None:
    """They stand for its vectors and are not left out; what is missing is named."""
    await filled(store, one(), point(1, {"": [1, 0]}), point(2, {"": [0, 1]}))
    await store.create_collection(OTHER, two())
    await store.apply(OTHER, Upsert([point(1, {"text": [0, 9]})]), wait=True)
    place = {"collection": OTHER, "vector": "text"}

    def wanted(known: int, **lookup: str) -> QueryRequest:
        return QueryRequest.model_validate({"query": known, "lookup_from": {**place, **lookup}})

    assert [hit.id for hit in await store.query(NAME, wanted(1))] == [2, 1]
    with pytest.raises(PointNotFound, match="No point with id 7 found"):
        await store.query(NAME, wanted(7))
    await store.apply(OTHER, Delete(ids(1)), wait=True)
    with pytest.raises(PointNotFound, match="No point with id 1 found"):
        await store.query(NAME, wanted(1))
