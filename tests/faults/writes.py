"""Random writes of every kind, each with what it makes of every id. Pure: the requests are sent in ``writer.py``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from service.model.ids import PointId
from tests.faults.states import (
    Effect,
    Held,
    cleared,
    deleted,
    held,
    merged,
    overwritten,
    replaced,
    where,
    with_vectors,
    without_keys,
    without_vectors,
)

VECTORS: Mapping[str, int] = {"left": 3, "right": 4}
"""The named vectors of the drills' collections and their sizes."""

_TAGS = 4

Part = Mapping[PointId, Effect]
"""What one operation does, by id."""


@dataclass(frozen=True, slots=True)
class Write:
    """A request below ``/collections/{name}/points``; ``parts`` has one value per operation, in order."""

    kind: str
    method: str
    suffix: str
    body: Mapping[str, Any]
    parts: Sequence[Part]


@dataclass(slots=True)
class Writes:
    """Makes random writes of one writer to its own ids."""

    owner: str
    ids: Sequence[PointId]
    random: Random
    _serial: int = field(default=0)

    def next(self, usable: Sequence[PointId], present: Sequence[PointId]) -> Write:
        """Return a write to some of ``usable``; what changes a part of a point takes them of ``present``."""
        always: list[Callable[[Sequence[PointId]], Write]] = [
            self.upsert, self.upsert, self.upsert_where, self.delete, self.delete_where,
            self.set_payload_where,
        ]  # fmt: skip
        existing: list[Callable[[Sequence[PointId]], Write]] = [
            self.set_payload, self.overwrite_payload, self.delete_payload, self.clear_payload,
            self.update_vectors, self.delete_vectors, self.batch,
        ]  # fmt: skip
        make = self.random.choice([*always, *existing] if present else always)
        pool = present if make in existing else usable
        return make(self.random.sample(pool, min(len(pool), self.random.randint(1, 3))))

    def upsert(self, ids: Sequence[PointId]) -> Write:
        """Write points whole."""
        points = {point_id: self._point() for point_id in ids}
        part = {point_id: replaced(point) for point_id, point in points.items()}
        return Write("upsert", "PUT", "", {"points": _points(points)}, [part])

    def upsert_where(self, ids: Sequence[PointId]) -> Write:
        """Write points whole where they match or are not there."""
        points = {point_id: self._point() for point_id in ids}
        tag = self._tag()
        part = {i: where({"tag": tag}, replaced(p), missing=replaced(p)) for i, p in points.items()}
        body = {"points": _points(points), "update_filter": _filter({"tag": tag})}
        return Write("conditional upsert", "PUT", "", body, [part])

    def delete(self, ids: Sequence[PointId]) -> Write:
        """Remove points by id."""
        part = dict.fromkeys(ids, deleted)
        return Write("delete", "POST", "/delete", {"points": list(ids)}, [part])

    def delete_where(self, _: Sequence[PointId]) -> Write:
        """Remove all own points of one tag."""
        return self._filtered("delete by filter", "POST", "/delete", {}, deleted)

    def set_payload(self, ids: Sequence[PointId]) -> Write:
        """Set payload keys by id."""
        fields = self._fields()
        body = {"payload": fields, "points": list(ids)}
        return Write("set payload", "POST", "/payload", body, [dict.fromkeys(ids, merged(fields))])

    def set_payload_where(self, _: Sequence[PointId]) -> Write:
        """Set payload keys of all own points of one tag."""
        fields = {"serial": self._next_serial(), "marked": True}
        return self._filtered(
            "set payload by filter", "POST", "/payload", {"payload": fields}, merged(fields)
        )

    def overwrite_payload(self, ids: Sequence[PointId]) -> Write:
        """Replace payloads."""
        fields = self._fields()
        body = {"payload": fields, "points": list(ids)}
        part = dict.fromkeys(ids, overwritten(fields))
        return Write("overwrite payload", "PUT", "/payload", body, [part])

    def delete_payload(self, ids: Sequence[PointId]) -> Write:
        """Remove payload keys."""
        names = self.random.sample(("tag", "serial", "marked"), 2)
        body = {"keys": names, "points": list(ids)}
        part = dict.fromkeys(ids, without_keys(names))
        return Write("delete payload", "POST", "/payload/delete", body, [part])

    def clear_payload(self, ids: Sequence[PointId]) -> Write:
        """Empty payloads."""
        part = dict.fromkeys(ids, cleared)
        return Write("clear payload", "POST", "/payload/clear", {"points": list(ids)}, [part])

    def update_vectors(self, ids: Sequence[PointId]) -> Write:
        """Set one vector of points that exist."""
        name = self.random.choice(list(VECTORS))
        vectors = {point_id: {name: self._vector(name)} for point_id in ids}
        points = [{"id": point_id, "vector": vector} for point_id, vector in vectors.items()]
        part = {point_id: with_vectors(vector) for point_id, vector in vectors.items()}
        return Write("update vectors", "PUT", "/vectors", {"points": points}, [part])

    def delete_vectors(self, ids: Sequence[PointId]) -> Write:
        """Remove one vector."""
        name = self.random.choice(list(VECTORS))
        body = {"vector": [name], "points": list(ids)}
        part = dict.fromkeys(ids, without_vectors([name]))
        return Write("delete vectors", "POST", "/vectors/delete", body, [part])

    def batch(self, ids: Sequence[PointId]) -> Write:
        """Run several operations in one request, half of the time with a filter among them."""
        first, last = ids[:1], ids[1:]
        steps = [("upsert", self.upsert(first)), ("set_payload", self.set_payload(first))]
        if last:
            steps.append(("delete", self.delete(last)))
        if self.random.random() < 0.5:
            steps.append(("delete", self.delete_where(ids)))
        body = {"operations": [{name: write.body} for name, write in steps]}
        parts = [part for _, write in steps for part in write.parts]
        return Write("batch", "POST", "/batch", body, parts)

    def _filtered(
        self, kind: str, method: str, suffix: str, body: Mapping[str, Any], effect: Effect
    ) -> Write:
        fields = {"owner": self.owner, "tag": self._tag()}
        part = dict.fromkeys(self.ids, where(fields, effect))
        whole = {**body, "filter": _filter(fields)}
        return Write(kind, method, suffix, whole, [part])

    def _point(self) -> Held:
        names = list(VECTORS)
        if self.random.random() < 0.2:
            names.remove(self.random.choice(names))
        return held(self._fields(), {name: self._vector(name) for name in names})

    def _fields(self) -> dict[str, object]:
        return {"owner": self.owner, "serial": self._next_serial(), "tag": self._tag()}

    def _vector(self, name: str) -> list[float]:
        # Small numbers that every store holds exactly.
        return [float(self.random.randint(-64, 64)) for _ in range(VECTORS[name])]

    def _tag(self) -> int:
        return self.random.randrange(_TAGS)

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial


def _points(points: Mapping[PointId, Held]) -> list[dict[str, Any]]:
    return [
        {"id": point_id, "vector": dict(point.vectors), "payload": point.fields}
        for point_id, point in points.items()
    ]


def _filter(fields: Mapping[str, object]) -> dict[str, Any]:
    return {"must": [{"key": name, "match": {"value": value}} for name, value in fields.items()]}
