"""Who writes to a store around the proxy: what can be told from points, and from counts.

Rule 1: a store is named only where its content says so: an id was equal when it was last looked at, one store still has
        exactly that, the other does not. Everything else is *unknown*.
Rule 2: counts prove something only of a moment without writes. The target is counted before and after the source,
        with the sum of its rows' versions, which only grow; the ledger is empty on both sides of the source's count.
        The same difference has to be found twice.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from backfill.digest import digest_of, written
from service.model.points import Record
from service.model.qdrant import CountRequest
from service.ports import PointReader
from service.stages import Side

_ALL = CountRequest(exact=True)


@dataclass(frozen=True, slots=True)
class Watched:
    """A collection that both stores hold completely, as it was when this was asked."""

    name: str
    generation: int
    epoch: int


class Memory:
    """What ids looked like in both stores when they were last found equal; bounded, the longest unseen go first."""

    def __init__(self, *, most: int = 50_000) -> None:
        self._most = most
        self._seen: OrderedDict[tuple[int, bytes], tuple[int | None, int | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def equal(
        self, generation: int, key: bytes, source: Record | None, target: Record | None
    ) -> None:
        """Remember an id that is equal."""
        place = generation, key
        self._seen[place] = _fingerprint(key, source), _fingerprint(key, target)
        self._seen.move_to_end(place)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def longest_unseen(self, generation: int, count: int, *, among: int = 1_000) -> list[bytes]:
        """Return keys of a generation that were not looked at for long; of the oldest so many entries of all."""
        found: list[bytes] = []
        for at, (of, key) in enumerate(self._seen):
            if len(found) >= count or at >= among:
                break
            if of == generation:
                found.append(key)
        return found

    def changed(
        self, generation: int, key: bytes, source: Record | None, target: Record | None
    ) -> Side | None:
        """Return the one store that has another point than when both were equal; ``None`` where that is not known."""
        seen = self._seen.get((generation, key))
        if seen is None:
            return None
        is_source_as_before = _fingerprint(key, source) == seen[0]
        is_target_as_before = _fingerprint(key, target) == seen[1]
        if is_source_as_before is is_target_as_before:
            return None
        return Side.TARGET if is_source_as_before else Side.SOURCE


@dataclass(frozen=True, slots=True)
class TargetCount:
    """What the target's table holds; ``versions`` is the sum over all rows, tombstones included."""

    points: int
    rows: int
    versions: str


class Witness(Protocol):
    """What the target knows of a generation."""

    async def count(self, generation: int) -> TargetCount | None:
        """Count the rows; ``None`` when the generation is gone. Raises ``TargetUnavailable``."""
        ...

    async def is_quiet(self, watched: Watched) -> bool:
        """Say whether nothing is unsettled, hints included, and the stage is the same. Raises ``StoreError``."""
        ...

    async def quarantined(self, generation: int) -> int:
        """Return how many points the target is known to lack, or to hold in an older form."""
        ...


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Exact counts of a moment without writes that do not agree."""

    source: int
    target: int


async def count_both(source: PointReader, witness: Witness, watched: Watched) -> Mismatch | bool:
    """Return a mismatch, true when the counts agree, false when they were not of one moment."""
    before = await witness.count(watched.generation)
    if before is None or not await witness.is_quiet(watched):
        return False
    on_source = await source.count(watched.name, _ALL)
    if not await witness.is_quiet(watched):
        return False
    if await witness.count(watched.generation) != before:
        return False
    # What the target cannot hold is missing there, or was there in an older form and is counted.
    most = await witness.quarantined(watched.generation)
    is_explained = 0 <= on_source - before.points <= most
    return True if is_explained else Mismatch(on_source, before.points)


def _fingerprint(key: bytes, record: Record | None) -> int | None:
    """Return a digest of what one store has of an id, components of vectors included."""
    if record is None:
        return None
    return digest_of(key, written(record.payload or {}, record.vectors or {})).bits
