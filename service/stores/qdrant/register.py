"""The register in Qdrant: the records of the stages, and the marks of detached instances."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

from service.control.register import REGISTER, Mark, Record, SourceRegister
from service.control.state import CollectionState
from service.stages import Stage
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.own import OwnPoints, at_most, equals

_NAMESPACE = UUID("6f1d1c0e-9a2b-5a7e-8a55-0f7a3f5c2b91")
_RECORD = equals("kind", "record")
_MARK = equals("kind", "mark")


class QdrantRegister:
    """``SourceRegister`` in the collection ``_vecferry``."""

    def __init__(self, http: QdrantHttp, collection: str = REGISTER) -> None:
        self._points = OwnPoints(http, collection)

    async def prepare(self) -> None:
        """Make the register if it is not there. Raises ``StoreError`` also when Qdrant is too old."""
        await self._points.prepare()

    async def record(self, name: str) -> Record | None:
        """Return one record."""
        stored = await self._points.get(_record_id(name))
        return None if stored is None else _record(stored)

    async def records(self) -> Sequence[Record]:
        """Return all records."""
        return [_record(payload) async for _, payload in self._points.all(_RECORD)]

    async def swap(self, record: Record) -> bool:
        """Store a record if the stored version is ``record.version - 1`` (0: there is none).

        False when it is not; also when the next swap came before we could see that ours was stored.
        """
        token = str(uuid4())
        point_id = _record_id(record.state.name)
        payload = _record_payload(record) | {"token": token}
        if record.version == 1:
            # No record has the version 0: one that exists stays as it is.
            await self._points.put(
                {point_id: payload}, only=equals("version", 0), ordering="strong"
            )
        else:
            await self._points.replace(point_id, payload, equals("version", record.version - 1))
        # Qdrant does not say whether a condition was met.
        stored = await self._points.get(point_id)
        return stored is not None and stored["token"] == token

    async def mark(self, mark: Mark) -> None:
        """Say that an instance is detached, or still is; visible when this returns."""
        payload = {"kind": "mark", "owner": str(mark.owner), "beat": mark.beat}
        await self._points.put({_mark_id(mark.owner): payload})

    async def unmark(self, mark: Mark) -> None:
        """Take a mark away, unless its owner has renewed it since, however late this is carried out."""
        await self._points.delete_where(_mark_id(mark.owner), at_most("beat", mark.beat))

    async def marks(self) -> Sequence[Mark]:
        """Return all marks."""
        found = self._points.all(_MARK)
        return [Mark(UUID(mark["owner"]), mark["beat"]) async for _, mark in found]


def _record_id(name: str) -> str:
    return str(uuid5(_NAMESPACE, f"record {name}"))


def _mark_id(owner: UUID) -> str:
    return str(uuid5(_NAMESPACE, f"mark {owner}"))


def _record_payload(record: Record) -> dict[str, Any]:
    state = record.state
    return {
        "kind": "record",
        "version": record.version,
        "name": state.name,
        "stage": state.stage.value,
        "generation": state.generation,
        "percent": state.percent,
        "epoch": state.epoch,
        "backfilled": state.backfilled,
        "frozen": state.frozen,
    }


def _record(stored: dict[str, Any]) -> Record:
    state = CollectionState(
        name=stored["name"],
        stage=Stage(stored["stage"]),
        generation=stored["generation"],
        percent=stored["percent"],
        epoch=stored["epoch"],
        backfilled=stored["backfilled"],
        frozen=stored["frozen"],
    )
    return Record(state, stored["version"])


def _proves_port(register: QdrantRegister) -> SourceRegister:
    return register
