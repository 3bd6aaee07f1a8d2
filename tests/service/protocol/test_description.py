"""What makes one store's description of a collection equal to the other's."""

from dataclasses import replace

import pytest

from service.errors import MalformedBody
from service.model.operations import CreateIndex, CreateVector, DeleteIndex, DeleteVector
from service.model.qdrant import (
    CreateCollection,
    Disabled,
    Distance,
    HnswConfigDiff,
    ScalarQuantization,
    VectorParams,
)
from service.protocol.description import (
    Description,
    TargetStep,
    applied,
    described,
    index_changes,
    parameter_changes,
    step_on_target,
    vector_name_changes,
    with_index,
)
from tests.fakes import MemoryStore

CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
SMALL = Description(CONFIG)
LARGE = Description(CreateCollection(vectors=VectorParams(size=3, distance=Distance.DOT)))
SIZE_2 = {"size": 2, "distance": "Dot"}
INDEXED = replace(SMALL, payload_schema={"a": "keyword"})
B = {"size": 3, "distance": "Dot"}
WITH_B = Description(CreateCollection.model_validate({"vectors": {"": SIZE_2, "b": B}}))
ONLY_B = Description(CreateCollection.model_validate({"vectors": {"b": B}}))
NOTHING = Description(CreateCollection.model_validate({"vectors": {}}))
QUANTIZED = ScalarQuantization.model_validate({"scalar": {"type": "int8"}})


@pytest.mark.parametrize(
    ("held", "found", "is_made", "step"),
    [
        (None, None, False, TargetStep.NOTHING),
        (None, SMALL, False, TargetStep.MAKE),
        (SMALL, None, False, TargetStep.RETIRE),
        (SMALL, SMALL, False, TargetStep.NOTHING),
        (SMALL, INDEXED, False, TargetStep.DESCRIBE),
        (SMALL, replace(SMALL, aliases=frozenset({"a"})), False, TargetStep.DESCRIBE),
        (SMALL, WITH_B, False, TargetStep.DESCRIBE),
        (WITH_B, SMALL, False, TargetStep.DESCRIBE),
        (WITH_B, ONLY_B, False, TargetStep.DESCRIBE),
        (SMALL, NOTHING, False, TargetStep.DESCRIBE),
        (SMALL, ONLY_B, False, TargetStep.REPLACE),
        (SMALL, LARGE, False, TargetStep.REPLACE),
        (SMALL, SMALL, True, TargetStep.REPLACE),
    ],
)
def test_what_is_done_on_the_target(
    held: Description | None, found: Description | None, is_made: bool, step: TargetStep
) -> None:
    """The present state decides; only who made the collection knows that an equal one is another one."""
    assert step_on_target(held, found, is_made=is_made) is step


def test_named_vectors_come_and_go() -> None:
    """By exactly the operations that lead from one to the other, of every kind."""
    full = {
        "vectors": {
            "": SIZE_2,
            "half": {**B, "datatype": "float16", "on_disk": True},
            "multi": {**B, "multivector_config": {"comparator": "max_sim"}},
        },
        "sparse_vectors": {"sparse": {"modifier": "idf", "index": {"datatype": "float16"}}},
    }
    wanted = Description(CreateCollection.model_validate(full))
    made = vector_name_changes(wanted.config, WITH_B.config)
    assert [(type(each), each.name) for each in made] == [
        (DeleteVector, "b"), (CreateVector, "half"), (CreateVector, "multi"),
        (CreateVector, "sparse"),
    ]  # fmt: skip
    after = WITH_B
    for operation in made:
        after = applied(after, operation)
    assert vector_name_changes(wanted.config, after.config) == []
    assert step_on_target(after, wanted, is_made=False) is TargetStep.DESCRIBE


def test_indexes_are_made_dropped_and_made_anew() -> None:
    """What is equal is left alone: an index takes long to build."""
    wanted = replace(SMALL, payload_schema={"same": "keyword", "new": "uuid", "other": "float"})
    found = replace(SMALL, payload_schema={"same": "keyword", "old": "geo", "other": "integer"})
    dropped, *made = index_changes(wanted, found)
    assert dropped == DeleteIndex("old")
    assert all(isinstance(operation, CreateIndex) for operation in made)
    assert {operation.field for operation in made} == {"new", "other"}
    assert not index_changes(found, found)


def test_only_what_differs_is_patched() -> None:
    """What the target does not say is the source's own affair."""
    rich = CONFIG.model_copy(update={"hnsw_config": HnswConfigDiff(m=16, ef_construct=100)})
    assert parameter_changes(SMALL, Description(rich)) is None
    wanted = CONFIG.model_copy(update={"hnsw_config": HnswConfigDiff(m=32)})
    patch = parameter_changes(Description(wanted), Description(rich))
    assert patch is not None
    assert patch.model_dump(exclude_none=True) == {"hnsw_config": {"m": 32}}


def test_quantization_that_was_taken_away_is_disabled() -> None:
    """Leaving it out of a PATCH would keep it."""
    found = CONFIG.model_copy(update={"quantization_config": QUANTIZED})
    patch = parameter_changes(SMALL, Description(found))
    assert patch is not None
    assert patch.quantization_config is Disabled.DISABLED


async def test_a_description_is_what_collection_info_says() -> None:
    """Vectors, parameters and payload indexes; made again from it, it is the same."""
    store = MemoryStore()
    await store.create_collection("c", CONFIG)
    await store.apply("c", CreateIndex("a", "keyword"), wait=True)
    found = described(await store.collection_info("c"))
    assert found.config.vectors == CONFIG.vectors
    assert found.payload_schema == {"a": "keyword"}


def test_an_index_is_checked_before_it_is_kept() -> None:
    """A type or a path that Qdrant would refuse must not wait in the ledger for ever."""
    assert with_index(SMALL, CreateIndex("a", "keyword")) == INDEXED
    assert with_index(INDEXED, DeleteIndex("a")) == SMALL
    with pytest.raises(MalformedBody):
        with_index(SMALL, CreateIndex("a", "nonsense"))
    with pytest.raises(MalformedBody):
        with_index(SMALL, CreateIndex("[", "keyword"))
