"""The source's side of a change of a whole collection: what it is there, and making it what the target says."""

from service.errors import CollectionNotFound, SourceUnavailable
from service.model.qdrant import UpdateStatus
from service.protocol.description import (
    Description,
    described,
    index_changes,
    parameter_changes,
)
from service.protocol.mirrors import BarrierStore


async def description(source: BarrierStore, name: str) -> Description | None:
    """Return what the source says of a collection, ``None`` when it has none of this name (an alias is none)."""
    if name not in await source.collections():
        return None
    try:
        return described(await source.collection_info(name))
    except CollectionNotFound:
        return None


async def drained(source: BarrierStore, name: str) -> None:
    """Return when the source has applied everything that it had accepted for the collection (R1)."""
    try:
        await source.drain(name)
    except CollectionNotFound:
        return  # no collection, no queue


async def impose(
    source: BarrierStore, name: str, wanted: Description | None, *, is_anew: bool
) -> None:
    """Make the source's collection what the target says; with ``is_anew`` it is dropped and made again first.

    Doing it twice is harmless. Raises ``CollectionNotFound`` when one that should only be changed is not there.
    """
    if is_anew:
        await source.delete_collection(name)
        if wanted is not None:
            await source.create_collection(name, wanted.config)
    if wanted is None:
        return
    found = await description(source, name)
    if found is None:
        raise CollectionNotFound(name)
    if (patch := parameter_changes(wanted, found)) is not None:
        await source.update_collection(name, patch)
    for operation in index_changes(wanted, found):
        result = await source.apply(name, operation, wait=True)
        if result.status is not UpdateStatus.COMPLETED:
            reason = f"answered a change of a payload index with {result.status}"
            raise SourceUnavailable(reason)
