"""What clients write, what they are told, and which values may be there in the end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

import orjson

from service.model.ids import PointId
from service.model.operations import ByIds, Delete, Operation, Upsert
from service.protocol.source_writes import WriteRequest
from tests.interleavings.invariants import Invariant
from tests.interleavings.source import point


@dataclass(frozen=True, slots=True)
class Put:
    """Upsert one value under some ids."""

    value: int
    ids: tuple[PointId, ...]

    def __str__(self) -> str:
        return f"{self.value} at {list(self.ids)}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete by ids."""

    ids: tuple[PointId, ...]

    def __str__(self) -> str:
        return f"deletion of {list(self.ids)}"


@dataclass(frozen=True, slots=True)
class SetSome:
    """Set a value where the last id does not exist: Qdrant changes the others and answers 404 (R3)."""

    value: int
    ids: tuple[PointId, ...]

    def __str__(self) -> str:
        return f"{self.value} as payload of {list(self.ids)}"


@dataclass(frozen=True, slots=True)
class RemoveWhere:
    """Delete by a filter on the value (R4)."""

    value: int
    ids: tuple[PointId, ...] = ()

    def __str__(self) -> str:
        return f"deletion of what is {self.value}"


Write: TypeAlias = Put | Remove | SetSome | RemoveWhere


@dataclass(frozen=True, slots=True)
class Read:
    """Ask for one id."""

    id: PointId

    def __str__(self) -> str:
        return f"what is at {self.id}"


@dataclass(frozen=True, slots=True)
class Touches:
    """``Touched``: which points a body names."""

    ids: Sequence[PointId] = ()
    filter: Mapping[str, Any] | None = None


def request(write: Write, collection: str) -> tuple[WriteRequest, list[Touches]]:
    """Return a write as a client sends it, and which points it names."""
    method, path = "POST", f"/collections/{collection}/points"
    body: dict[str, Any] = {}
    touches = Touches(write.ids)
    match write:
        case Put(value, ids):
            method = "PUT"
            body = {"points": [{"id": each, "vector": {}, "payload": {"v": value}} for each in ids]}
        case Remove(ids):
            path, body = f"{path}/delete", {"points": list(ids)}
        case SetSome(value, ids):
            path, body = f"{path}/payload", {"payload": {"v": value}, "points": list(ids)}
        case RemoveWhere(value):
            condition = {"must": [{"key": "v", "match": {"value": value}}]}
            path, body = f"{path}/delete", {"filter": condition}
            touches = Touches(filter=condition)
    return WriteRequest(method, path, {"wait": "true"}, (), orjson.dumps(body)), [touches]


def operation(write: Write) -> Operation:
    """Return a write as the edge over Postgres hands it on."""
    match write:
        case Put(value, ids):
            return Upsert([point(each, value) for each in ids])
        case Remove(ids):
            return Delete(ByIds(ids))
        case _:
            message = f"a history lets Postgres take a write that it does not know: {write}"
            raise AssertionError(message)


class Result(Enum):
    """What a client knows of its write."""

    DONE = auto()
    REFUSED = auto()
    """In part, perhaps: it may be there and need not."""
    UNKNOWN = auto()


@dataclass(eq=False, slots=True)
class Told:
    """One write's life; ``ended`` stays ``None`` when the client never heard."""

    write: Write
    began: int
    owner: str
    ended: int | None = None
    result: Result = Result.UNKNOWN

    def value_for(self, point_id: PointId) -> tuple[bool, int | None]:
        """Return whether it may have written this id, and what."""
        match self.write:
            case Put(value, ids) | SetSome(value, ids):
                return point_id in ids, value
            case Remove(ids):
                return point_id in ids, None
            case RemoveWhere():
                return True, None


def lost_or_returned(
    before: Mapping[PointId, int], told: Sequence[Told], after: Mapping[PointId, int]
) -> Iterator[tuple[Invariant, str]]:
    """I3 and I4: yield what is not the value of a write that no finished one followed."""
    ids = {*before, *after} | {each for one in told for each in one.write.ids}
    for each in sorted(ids, key=str):
        possible = _possible(each, before.get(each), told, told)
        if after.get(each) not in possible:
            # Only a deletion can have been last: what is there was deleted before.
            invariant = Invariant.I4 if possible == [None] else Invariant.I3
            yield invariant, f"{each} is {after.get(each)} and must be one of {possible}"


def missed(
    before: Mapping[PointId, int],
    told: Sequence[Told],
    point_id: PointId,
    began: int,
    found: int | None,
) -> Iterator[tuple[Invariant, str]]:
    """I7: yield what a read misses of the writes whose client had its answer before the read began."""
    earlier = [one for one in told if one.ended is not None and one.ended < began]
    possible = _possible(point_id, before.get(point_id), told, earlier)
    if found not in possible:
        yield Invariant.I7, f"{point_id} was read as {found} and must be one of {possible}"


def _possible(
    point_id: PointId, before: int | None, told: Sequence[Told], finished: Sequence[Told]
) -> list[int | None]:
    """A write is over when another one that is known to be done began after its end and wrote the same id."""
    mine = [one for one in told if one.value_for(point_id)[0]]
    certain = [
        one
        for one in finished
        if one in mine and one.result is Result.DONE and isinstance(one.write, Put | Remove)
    ]
    possible = [] if certain else [before]
    # What a filter takes, and what an unknown id leaves undone, need not have happened.
    for one in mine:
        is_over = one.result is Result.DONE and any(
            one.ended is not None and later.began > one.ended for later in certain
        )
        if not is_over:
            possible.append(one.value_for(point_id)[1])
    return possible
