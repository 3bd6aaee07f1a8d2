"""The source's side of a change of a whole collection: what it is there, and making it what the target says."""

from collections.abc import Iterable, Sequence

from service.errors import CollectionNotFound, SourceUnavailable
from service.model.operations import DeleteVector, Operation
from service.model.qdrant import (
    AliasOperations,
    CreateAlias,
    CreateAliasOperation,
    DeleteAlias,
    DeleteAliasOperation,
    UpdateStatus,
)
from service.protocol.description import (
    Description,
    described,
    index_changes,
    parameter_changes,
    vector_name_changes,
)
from service.protocol.mirrors import BarrierStore
from service.protocol.whole_log import Anew
from service.stores.configuration import vector_specs


async def description(source: BarrierStore, name: str) -> Description | None:
    """Return what the source says of a collection, ``None`` when it has none of this name (an alias is none)."""
    if name not in await source.collections():
        return None
    try:
        info = await source.collection_info(name)
    except CollectionNotFound:
        return None
    aliases = await source.aliases()
    return described(info, frozenset(alias for alias, of in aliases.items() if of == name))


async def drained(source: BarrierStore, name: str) -> None:
    """Return when the source has applied everything that it had accepted for the collection (R1)."""
    try:
        await source.drain(name)
    except CollectionNotFound:
        return  # no collection, no queue


async def impose(source: BarrierStore, name: str, wanted: Description | None, anew: Anew) -> None:
    """Make the source's collection what the target says; what must be ``anew`` is dropped and made again first.

    Doing it twice is harmless. Raises ``CollectionNotFound`` when one that should only be changed is not there.
    """
    if anew.collection:
        await source.delete_collection(name)
        if wanted is not None:
            await source.create_collection(name, wanted.config)
    if wanted is None:
        return
    found = await _with_its_vectors(source, name, wanted, anew)
    if (patch := parameter_changes(wanted, found)) is not None:
        await source.update_collection(name, patch)
    await _applied(source, name, index_changes(wanted, found))
    if actions := _alias_actions(name, wanted.aliases, found.aliases):
        await source.change_aliases(actions)


async def _with_its_vectors(
    source: BarrierStore, name: str, wanted: Description, anew: Anew
) -> Description:
    """Give the source's collection its named vectors and return what it is then."""
    found = await _found(source, name)
    there = {*vector_specs(found.config)}
    removed = [DeleteVector(vector) for vector in sorted(anew.vectors & there)]
    if removed:
        await _applied(source, name, removed)
        found = await _found(source, name)
    if changes := vector_name_changes(wanted.config, found.config):
        await _applied(source, name, changes)
        found = await _found(source, name)
    return found


async def _found(source: BarrierStore, name: str) -> Description:
    found = await description(source, name)
    if found is None:
        raise CollectionNotFound(name)
    return found


async def _applied(source: BarrierStore, name: str, operations: Iterable[Operation]) -> None:
    for operation in operations:
        result = await source.apply(name, operation, wait=True)
        if result.status is not UpdateStatus.COMPLETED:
            reason = f"answered a change of the collection's description with {result.status}"
            raise SourceUnavailable(reason)


def _alias_actions(
    name: str, wanted: frozenset[str], found: frozenset[str]
) -> Sequence[AliasOperations]:
    dropped = [
        DeleteAliasOperation(delete_alias=DeleteAlias(alias_name=alias))
        for alias in sorted(found - wanted)
    ]
    made = [
        CreateAliasOperation(create_alias=CreateAlias(collection_name=name, alias_name=alias))
        for alias in sorted(wanted - found)
    ]
    return [*dropped, *made]
