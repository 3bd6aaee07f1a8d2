"""What one client was told, and whether an answer agrees with it.

The ids of the clients are disjoint and a client sends one request at a time, so its memory says
exactly what every later answer about its points must be. All functions are pure; the requests are
sent in ``clients.py``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from service.model.ids import PointId
from service.model.points import FloatArray, Payload
from tests.demo.journal import Kind, Wrong

OWNER = "owner"
VECTOR_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A point as it must read; ``vector`` has unit length."""

    payload: Payload
    vector: FloatArray


class Answered(Protocol):
    """A record or a hit of the client library, as far as the checks look at it."""

    @property
    def id(self) -> object:
        """The point's id."""

    @property
    def payload(self) -> Payload | None:
        """The payload, if it was asked for."""

    @property
    def vector(self) -> object:
        """The vector, if it was asked for."""


class Memory:
    """One client's points by collection: held, deleted, and those whose last write failed."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._held: defaultdict[str, dict[PointId, Held]] = defaultdict(dict)
        self._deleted: defaultdict[str, set[PointId]] = defaultdict(set)
        self._doubtful: defaultdict[str, set[PointId]] = defaultdict(set)

    def held(self, collection: str) -> Mapping[PointId, Held]:
        """Return the points that must be there."""
        return self._held[collection]

    def deleted(self, collection: str) -> Collection[PointId]:
        """Return the points that must be gone."""
        return self._deleted[collection]

    def doubtful(self, collection: str) -> Collection[PointId]:
        """Return the points of which nothing may be said."""
        return self._doubtful[collection]

    def owned(self, collection: str) -> dict[PointId, Held]:
        """Return the held points that carry the owner's name, which a filter finds."""
        return {
            point_id: held
            for point_id, held in self._held[collection].items()
            if held.payload.get(OWNER) == self.owner
        }

    def hold(
        self, collection: str, point_id: PointId, payload: Payload, vector: FloatArray
    ) -> None:
        """Remember a point that was written whole."""
        self._deleted[collection].discard(point_id)
        self._held[collection][point_id] = Held(payload, vector)

    def merge(self, collection: str, point_id: PointId, payload: Payload) -> None:
        """Remember payload keys that were set."""
        held = self._held[collection][point_id]
        self._held[collection][point_id] = replace(held, payload=held.payload | payload)

    def overwrite(self, collection: str, point_id: PointId, payload: Payload) -> None:
        """Remember a payload that was replaced."""
        self._held[collection][point_id] = replace(
            self._held[collection][point_id], payload=payload
        )

    def remove_key(self, collection: str, point_id: PointId, key: str) -> None:
        """Remember a payload key that was deleted."""
        held = self._held[collection][point_id]
        kept = {name: value for name, value in held.payload.items() if name != key}
        self._held[collection][point_id] = replace(held, payload=kept)

    def delete(self, collection: str, ids: Iterable[PointId]) -> None:
        """Remember points that were deleted."""
        for point_id in ids:
            self._held[collection].pop(point_id, None)
            self._deleted[collection].add(point_id)

    def doubt(self, collection: str, ids: Iterable[PointId]) -> None:
        """Forget points whose write failed: it may or may not have happened, now or later."""
        for point_id in ids:
            self._held[collection].pop(point_id, None)
            self._deleted[collection].discard(point_id)
            self._doubtful[collection].add(point_id)


def check_records(
    memory: Memory, collection: str, asked: Collection[PointId], records: Sequence[Answered]
) -> list[Wrong]:
    """Compare an answer that must hold exactly the asked points, as far as they exist."""
    answered = {record.id: record for record in records}
    wrongs = []
    for point_id in asked:
        if point_id in memory.doubtful(collection):
            continue
        held = memory.held(collection).get(point_id)
        record = answered.get(point_id)
        if record is None:
            if held is not None:
                wrongs.append(Wrong(Kind.LOST, f"{collection}/{point_id} is missing"))
        elif held is None:
            wrongs.append(Wrong(Kind.UNEXPECTED, f"{collection}/{point_id}"))
        else:
            wrongs += _compare(f"{collection}/{point_id}", held, record)
    strangers = answered.keys() - set(asked)
    wrongs += [
        Wrong(Kind.MALFORMED, f"{collection}/{stranger} not asked") for stranger in strangers
    ]
    return wrongs


def check_owned(memory: Memory, collection: str, records: Sequence[Answered]) -> list[Wrong]:
    """Compare a scroll over the owner's name with all points that carry it."""
    doubtful = memory.doubtful(collection)
    certain = [record for record in records if record.id not in doubtful]
    owned = memory.owned(collection)
    strangers = [record for record in certain if record.id not in owned]
    known = [record for record in certain if record.id in owned]
    wrongs = check_records(memory, collection, owned.keys(), known)
    wrongs += [Wrong(Kind.UNEXPECTED, f"{collection}/{record.id}") for record in strangers]
    if len(answered := {record.id for record in records}) < len(records):
        wrongs.append(Wrong(Kind.MALFORMED, f"{len(records)} records, {len(answered)} ids"))
    return wrongs


def check_count(memory: Memory, collection: str, count: int) -> list[Wrong]:
    """Compare a count over the owner's name; nothing can be said while a point is doubtful."""
    expected = len(memory.owned(collection))
    if memory.doubtful(collection) or count == expected:
        return []
    return [Wrong(Kind.WRONG_COUNT, f"{collection}: {count}, not {expected}")]


def check_hits(memory: Memory, collection: str, hits: Sequence[Answered]) -> list[Wrong]:
    """Check a search's hits: none deleted, and the client's own ones as it was told."""
    wrongs = []
    for hit in hits:
        if hit.id in memory.deleted(collection):
            wrongs.append(Wrong(Kind.UNEXPECTED, f"{collection}/{hit.id} in search"))
        elif isinstance(hit.id, int | str) and (held := memory.held(collection).get(hit.id)):
            wrongs += _compare_payload(f"{collection}/{hit.id} in search", held, hit)
    return wrongs


def check_scores(collection: str, scores: Sequence[float], limit: int) -> list[Wrong]:
    """Check that an unfiltered search is full and best first."""
    if len(scores) == limit and list(scores) == sorted(scores, reverse=True):
        return []
    return [Wrong(Kind.MALFORMED, f"{collection}: {len(scores)} of {limit} hits: {scores}")]


def check_found(collection: str, point_id: PointId, hits: Sequence[Answered]) -> list[Wrong]:
    """Check that a search for a point's own vector among few points found the point."""
    if any(hit.id == point_id for hit in hits):
        return []
    return [Wrong(Kind.NOT_FOUND, f"{collection}/{point_id} among {[hit.id for hit in hits]}")]


def _compare(where: str, held: Held, answered: Answered) -> list[Wrong]:
    return _compare_payload(where, held, answered) + _compare_vector(where, held, answered)


def _compare_payload(where: str, held: Held, answered: Answered) -> list[Wrong]:
    read = answered.payload or {}
    changed = {
        key: (held.payload.get(key), read.get(key))
        for key in sorted(held.payload.keys() | read.keys())
        if held.payload.get(key) != read.get(key)
    }
    if not changed:
        return []
    return [Wrong(Kind.STALE_PAYLOAD, f"{where} (told, read): {str(changed)[:200]}")]


def _compare_vector(where: str, held: Held, answered: Answered) -> list[Wrong]:
    match answered.vector:
        case list() as read if len(read) == len(held.vector):
            distance = np.max(np.abs(np.asarray(read, dtype=np.float32) - held.vector))
            return [Wrong(Kind.STALE_VECTOR, where)] if distance > VECTOR_TOLERANCE else []
        case _:
            return [Wrong(Kind.STALE_VECTOR, f"{where}: not a vector of that size")]
