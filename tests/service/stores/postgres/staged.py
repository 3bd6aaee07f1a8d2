"""Collections in a stage of their own choice, intents about them, and waiting for a lock."""

import asyncio
from uuid import UUID, uuid4

import numpy as np

from service.control.state import CollectionState
from service.model.ids import PointId, encode_key
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, PointRequest, VectorParams
from service.protocol.ledger import Intent
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))


async def current(control: PostgresControl, name: str = "c") -> CollectionState:
    """Return the collection's row."""
    _, states = await control.load()
    (found,) = [state for state in states if state.name == name]
    return found


async def staged(control: PostgresControl, stage: Stage, name: str = "c") -> CollectionState:
    """Bring a new collection to a mirrored stage, by the shortest way the table allows."""
    await control.arm(name, CONFIG, actor="test", is_new=True)
    state = await current(control, name)
    if stage is not Stage.DUALWRITE:
        await control.publish(state, stage, 100, actor="test", token=None)
    return await current(control, name)


async def registered(control: PostgresControl) -> UUID:
    """Return a live instance."""
    owner = uuid4()
    await control.register(owner)
    return owner


def intent_of(
    state: CollectionState, *ids: PointId, behind: Side = Side.TARGET, owed: bool = True
) -> Intent:
    """Return an intent under a state of the control row."""
    assert state.generation is not None
    keys = tuple(sorted(encode_key(point_id) for point_id in ids))
    return Intent(uuid4(), state.generation, state.epoch, behind, owed, keys, "test", state.name)


def point(point_id: PointId, number: float = 1.0) -> Point:
    """Return a point that says its number twice."""
    return Point(point_id, {"": np.array([number, 0.0], np.float32)}, {"n": number})


async def numbers(database: Database, *ids: PointId, name: str = "c") -> dict[PointId, object]:
    """Return the numbers of the points that Postgres has."""
    request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
    records = await PgStore(database).retrieve(name, request)
    assert all(record.vectors for record in records)
    return {record.id: (record.payload or {})["n"] for record in records}


async def ledger(database: Database) -> set[UUID]:
    """Return the intents that are stored."""
    async with database.connection() as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM vecferry.intents")}


async def until_one_waits(database: Database) -> None:
    """Return when some session of this database waits for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_catalog.pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(5), database.connection() as connection:
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)


async def silence(database: Database, owner: UUID, seconds: float) -> None:
    """Let an instance's last heartbeat be that long ago."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE vecferry.instances SET heartbeat_at = now() - make_interval(secs => $2)"
            " WHERE id = $1",
            owner,
            seconds,
        )
