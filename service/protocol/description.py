"""What a collection is apart from its points, and what makes one store's description equal to the other's. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, TypeAlias, assert_never

from pydantic import BaseModel

from service.control.sourced import create_request
from service.model.operations import CreateIndex, CreateVector, DeleteIndex, DeleteVector
from service.model.qdrant import (
    CollectionInfo,
    CollectionParamsDiff,
    CreateCollection,
    Disabled,
    UpdateCollection,
    VectorParams,
    VectorParamsDiff,
)
from service.stores.configuration import vector_params
from service.stores.payload_schema import field_schema, parse_schema
from service.stores.vector_names import name_config, with_vector, without_vector
from service.translate.paths import parse_path


@dataclass(frozen=True, slots=True)
class Description:
    """A collection's parameters, the ``field_schema`` of every payload index, and its aliases."""

    config: CreateCollection
    payload_schema: Mapping[str, Any] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()


DescriptionOperation: TypeAlias = CreateIndex | DeleteIndex | CreateVector | DeleteVector
"""The operations that change a description and no point."""


def applied(before: Description, operation: DescriptionOperation) -> Description:
    """Return the description after an operation. Raises ``RequestError`` for one that cannot be."""
    match operation:
        case CreateIndex() | DeleteIndex():
            return with_index(before, operation)
        case CreateVector() | DeleteVector():
            return with_vector_name(before, operation)
        case _:
            assert_never(operation)


def with_index(before: Description, operation: CreateIndex | DeleteIndex) -> Description:
    """Return the description with a payload index made or dropped. Raises ``RequestError`` for one that cannot be."""
    schema = dict(before.payload_schema)
    match operation:
        case CreateIndex(name, wanted):
            parse_path(name)
            parse_schema(wanted)
            schema[name] = wanted
        case DeleteIndex(name):
            schema.pop(name, None)
        case _:
            assert_never(operation)
    return replace(before, payload_schema=schema)


def with_vector_name(before: Description, operation: CreateVector | DeleteVector) -> Description:
    """Return the description with a named vector made or removed. Raises ``WrongInput`` for another one of the name."""
    match operation:
        case CreateVector(name, config):
            return replace(before, config=with_vector(before.config, name, config))
        case DeleteVector(name):
            return replace(before, config=without_vector(before.config, name))
        case _:
            assert_never(operation)


class TargetStep(Enum):
    """What makes the target's collection equal to the source's."""

    NOTHING = auto()
    MAKE = auto()
    """It gets its first tables."""
    REPLACE = auto()
    """The source has another collection under the name: new tables, a new generation."""
    RETIRE = auto()
    """The source has none: tables and intents go."""
    DESCRIBE = auto()
    """Parameters, payload indexes, aliases or which named vectors there are differ."""


def described(info: CollectionInfo, aliases: frozenset[str] = frozenset()) -> Description:
    """Return the description that is in a store's collection info and list of aliases."""
    schema = {name: field_schema(index) for name, index in (info.payload_schema or {}).items()}
    return Description(create_request(info.config), schema, aliases)


def step_on_target(
    held: Description | None, found: Description | None, *, is_made: bool
) -> TargetStep:
    """Decide what to do on the target; ``is_made`` says that the source's collection was made by this change."""
    if held is None or found is None:
        if found is not None:
            return TargetStep.MAKE
        return TargetStep.NOTHING if held is None else TargetStep.RETIRE
    if is_made or _is_another(held.config, found.config):
        return TargetStep.REPLACE
    return TargetStep.NOTHING if held == found else TargetStep.DESCRIBE


def index_changes(wanted: Description, found: Description) -> list[CreateIndex | DeleteIndex]:
    """Return the operations that give the source exactly the wanted payload indexes."""
    dropped = [DeleteIndex(name) for name in found.payload_schema.keys() - wanted.payload_schema]
    made = [
        CreateIndex(name, schema)
        for name, schema in wanted.payload_schema.items()
        if found.payload_schema.get(name) != schema
    ]
    return [*sorted(dropped, key=lambda operation: operation.field), *made]


def vector_name_changes(
    wanted: CreateCollection, found: CreateCollection
) -> list[CreateVector | DeleteVector]:
    """Return the operations that give ``found`` exactly the named vectors of ``wanted``."""
    ours, theirs = _shape(wanted), _shape(found)
    dropped = [DeleteVector(name) for name in sorted(theirs.keys() - ours.keys())]
    made = [
        CreateVector(name, name_config(wanted, name))
        for name in sorted(ours.keys() - theirs.keys())
    ]
    return [*dropped, *made]


def parameter_changes(wanted: Description, found: Description) -> UpdateCollection | None:
    """Return the PATCH that gives the source the wanted parameters, ``None`` when it has them.

    Parameters that nobody has set on the target are the source's own affair.
    """
    ours, theirs = wanted.config, found.config
    changes: dict[str, Any] = {
        name: getattr(ours, name)
        for name in ("hnsw_config", "optimizers_config", "strict_mode_config", "metadata")
        if not _covers(getattr(theirs, name), getattr(ours, name))
    }
    if ours.quantization_config != theirs.quantization_config:
        changes["quantization_config"] = ours.quantization_config or Disabled.DISABLED
    params = {
        name: getattr(ours, name)
        for name in CollectionParamsDiff.model_fields
        if not _covers(getattr(theirs, name, None), getattr(ours, name, None))
    }
    if params:
        changes["params"] = CollectionParamsDiff(**params)
    if vectors := _vector_changes(ours, theirs):
        changes["vectors"] = vectors
    return UpdateCollection(**changes) if changes else None


def _vector_changes(
    ours: CreateCollection, theirs: CreateCollection
) -> dict[str, VectorParamsDiff]:
    before = vector_params(theirs)
    changes = {}
    for name, wanted in vector_params(ours).items():
        diff = _vector_change(wanted, before[name])
        if diff != VectorParamsDiff():
            changes[name] = diff
    return changes


def _vector_change(wanted: VectorParams, found: VectorParams) -> VectorParamsDiff:
    is_same = wanted.quantization_config == found.quantization_config
    return VectorParamsDiff(
        hnsw_config=None if _covers(found.hnsw_config, wanted.hnsw_config) else wanted.hnsw_config,
        quantization_config=None if is_same else wanted.quantization_config or Disabled.DISABLED,
        on_disk=None if _covers(found.on_disk, wanted.on_disk) else wanted.on_disk,
    )


def _covers(found: object, wanted: object) -> bool:
    """Say whether ``found`` says everything that ``wanted`` says."""
    if wanted is None:
        return True
    if isinstance(wanted, BaseModel):
        if not isinstance(found, BaseModel):
            return False
        return all(_covers(getattr(found, name, None), value) for name, value in wanted)
    return found == wanted


def _shape(config: CreateCollection) -> dict[str, object]:
    """Return what of each vector cannot change without making it anew."""
    dense = {
        name: (params.size, params.distance, params.multivector_config, params.datatype)
        for name, params in vector_params(config).items()
    }
    return dense | dict.fromkeys(config.sparse_vectors or {}, "sparse")


def _is_another(held: CreateCollection, found: CreateCollection) -> bool:
    """Say whether this is another collection: named vectors come and go, but none of them changes (R10)."""
    before, after = _shape(held), _shape(found)
    shared = before.keys() & after.keys()
    return any(before[name] != after[name] for name in shared) or bool(
        before and after and not shared
    )
