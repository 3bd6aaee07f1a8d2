"""The data as all clients together were told it is, in the check's own shape."""

from collections.abc import Iterable

from tests.demo.check import Contents, Id, Stored, canonical
from tests.demo.memory import Memory


def expected_contents(memories: Iterable[Memory], collection: str) -> Contents:
    """Return every point that must be in a collection."""
    return {
        point_id: Stored(canonical(held.payload), held.vector)
        for memory in memories
        for point_id, held in memory.held(collection).items()
    }


def without_doubtful(contents: Contents, memories: Iterable[Memory], collection: str) -> Contents:
    """Leave out the points of which no client knows what it was told (a write of theirs failed)."""
    doubtful: set[Id] = set()
    for memory in memories:
        doubtful |= set(memory.doubtful(collection))
    return {point_id: stored for point_id, stored in contents.items() if point_id not in doubtful}
