"""Quarantine and repair on a whole instance and real engines, by the control API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from service.model.ids import encode_key
from service.model.operations import ByIds, Delete, Upsert
from service.model.points import Point
from service.model.qdrant import ScrollRequest
from service.stages import Stage
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.service.operated import Operated, body_of, operated
from tests.service.running import running

NUL = "a\x00b"


@pytest.fixture
async def site(
    database_url: str, qdrant_url: str, tmp_path: Path, collection_name: str
) -> AsyncIterator[Operated]:
    """An instance and a collection of twenty points in Qdrant."""
    async with operated(database_url, qdrant_url, tmp_path, collection_name) as made:
        await made.around(*(body_of(number) for number in range(1, 21)))
        yield made


async def on_target(site: Operated) -> dict[int, object]:
    """Return the payloads in Postgres."""
    request = ScrollRequest(limit=10_000, with_payload=True)
    page = await PgStore(site.database).scroll(site.name, request)
    return {int(str(each.id)): each.payload for each in page.records}


async def around_in_postgres(
    site: Operated, *ids: int, gone: int | None = None, payload: str = "around"
) -> None:
    """Write to the target around the proxy."""
    store = PgStore(site.database)
    points = [Point(each, {"": np.ones(2, np.float32)}, {"by": payload}) for each in ids]
    await store.apply(site.name, Upsert(points), wait=True)
    if gone is not None:
        await store.apply(site.name, Delete(ByIds((gone,))), wait=True)


@asynccontextmanager
async def writing(site: Operated) -> AsyncIterator[list[int]]:
    """Write points through the proxy all the time; yields the ids so far."""
    written: list[int] = []

    async def write() -> None:
        number = 1_000
        while True:
            number += 1
            await site.write(body_of(1_000 + number % 7, life=number))
            written.append(number)
            await asyncio.sleep(0.01)

    async with running(write()):
        yield written


async def test_points_that_postgres_cannot_hold(site: Operated) -> None:
    """The run goes on without them; each is listed, and blocks the flip until it is solved or waived."""
    await site.around(body_of(7, text=NUL), body_of(8, text=NUL))
    await site.moved(Stage.DUALWRITE)
    await site.done("backfill")
    assert await site.quarantined() == [(7, "backfill", False), (8, "backfill", False)]
    assert (await on_target(site)).keys() == set(range(1, 21)) - {7, 8}

    await site.write(body_of(9, text=NUL), body_of(10, text="good"))
    await until_listed(site, 9)
    assert await site.quarantined() == [
        (7, "backfill", False), (8, "backfill", False), (9, "resync", False),
    ]  # fmt: skip
    await site.moved(Stage.SHADOW)
    refusal = await site.moved(Stage.RAMP, status=409)
    assert "3 point(s) that the target cannot hold" in refusal["detail"]

    await site.write(body_of(8, text="mended"))
    await site.here.client.post(f"{site.path}/points/delete", json={"points": [9]})
    await site.settled()
    assert await site.quarantined() == [(7, "backfill", False)]

    assert await site.ask("POST", f"{site.path}/quarantine/waive", {"ids": [7]}) == {"waived": 1}
    assert (await site.ask("GET", "/quarantine/count"))[site.name] == {"blocking": 0, "waived": 1}
    receipt = await site.done("verify")
    assert receipt["clean"]
    assert receipt["excluded"] == 1
    await site.moved(Stage.LIVE)
    metrics = (await site.here.client.get("/metrics")).text
    assert 'vecferry_quarantine_points{state="waived"} 1.0' in metrics


async def test_what_was_refused_is_tried_again(site: Operated) -> None:
    """By a resync, while Qdrant is right; then the only copy is there, and nothing may touch it."""
    await site.around(body_of(7, text=NUL), body_of(8, text=NUL))
    await site.moved(Stage.DUALWRITE)
    await site.done("backfill")
    await site.around(body_of(7, text="mended around the proxy"))
    path = f"{site.path}/quarantine/retry"
    tried = await site.ask("POST", path, {})
    assert (tried["tried"], tried["outcome"]["repaired"]) == (2, 1)
    assert await site.quarantined() == [(8, "resync", False)]
    assert await site.ask("POST", path, {"ids": [7]}) == {
        "collection": site.name, "tried": 0, "next": None,
        "outcome": {"repaired": 0, "differing": [], "unsettled": []},
    }  # fmt: skip

    await site.ask("POST", f"{site.path}/quarantine/waive", {"ids": [8]})
    await site.moved(Stage.SHADOW)
    await site.moved(Stage.LIVE)
    refusal = await site.ask("POST", path, {}, status=409)
    assert "a resync would delete them in Qdrant" in refusal["detail"]
    assert (await site.on_source())[8] == {"text": NUL}


async def test_ids_are_checked(site: Operated) -> None:
    """The answer names the field and what is wrong with it."""
    await site.moved(Stage.DUALWRITE)
    path = f"{site.path}/quarantine/waive"
    for body, told in (
        ({"ids": [-1]}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["no uuid"]}, "not a valid point ID"),
        ({"ids": [1], "x": 1}, "x"),
    ):
        assert told in (await site.ask("POST", path, body, status=422))["detail"]
    assert (
        "No point with id 1" in (await site.ask("POST", path, {"ids": [1]}, status=404))["detail"]
    )


async def test_the_target_is_repaired_while_writes_flow(site: Operated) -> None:
    """First it is said, then done by ordinary resyncs; what was equal is not touched."""
    await site.moved(Stage.DUALWRITE)
    await site.done("backfill")
    async with writing(site):
        await around_in_postgres(site, 2, 500, gone=1)
        receipt = await site.done("verify")
        assert receipt["counts"] == {"missing": 1, "extra": 1, "payload": 1, "vector": 1}
        before = await versions(site.database, 3)
        path = f"{site.path}/repair"
        said = await site.ask("POST", path, {})
        assert said["plan"]["actions"] == {"write to target": 2, "delete from target": 1}
        assert said["plan"]["first_ids"] == {"write to target": [1, 2], "delete from target": [500]}
        assert (said["repairs"], said["outcome"]) == ("target", None)
        assert 500 in await on_target(site)
        done = await site.ask("POST", path, {"apply": True, "receipt": receipt["receipt"]})
        assert done["outcome"] == {"repaired": 3, "differing": [], "unsettled": []}
        assert await versions(site.database, 3) == before
        again = await site.ask("POST", path, {"apply": True})
        assert (again["plan"]["equal"], again["plan"]["to_repair"]) == (3, 0)
        async with site.database.connection() as connection:
            await connection.execute("DELETE FROM vecferry.jobs WHERE id = $1", receipt["receipt"])
        refusal = await site.ask("POST", path, {}, status=409)
        assert f"the ids of receipt {receipt['receipt']} are gone" in refusal["detail"]
    await site.settled()
    assert await on_target(site) == await site.on_source()


async def test_the_source_is_repaired_where_postgres_is_right(site: Operated) -> None:
    """What only Qdrant has is deleted there; what the target cannot hold is not."""
    await site.around(body_of(7, text=NUL))
    await site.moved(Stage.DUALWRITE)
    await site.done("backfill")
    await site.ask("POST", f"{site.path}/quarantine/waive", {"ids": [7]})
    await site.moved(Stage.SHADOW)
    await site.moved(Stage.LIVE)
    async with writing(site):
        await site.around(body_of(2, by="around"), body_of(600), gone=1)
        receipt = await site.done("verify")
        assert receipt["counts"] == {"missing": 1, "extra": 1, "payload": 1, "vector": 0}
        async with site.database.connection() as connection:
            await connection.execute(
                "INSERT INTO vecferry.job_suspects (job, key, kinds, confirmed)"
                " VALUES ($1, $2, '{missing}', true)",
                receipt["receipt"],
                encode_key(7),
            )
        done = await site.ask("POST", f"{site.path}/repair", {"apply": True})
        assert done["plan"]["actions"] == {"write to source": 2, "delete from source": 1}
        assert done["plan"]["quarantined"] == [7]
        assert done["outcome"] == {"repaired": 3, "differing": [], "unsettled": []}
    await site.settled()
    on_source = await site.on_source()
    assert on_source.pop(7) == {"text": NUL}
    assert on_source == await on_target(site)


async def test_refused_intents_are_repaired_from_the_ledger(site: Operated) -> None:
    """A dead letter goes when its ids are equal; what is refused again is said."""
    await site.moved(Stage.DUALWRITE)
    await site.done("backfill")
    await site.write(body_of(7, text=NUL), body_of(8, text=NUL))
    await until_listed(site, 7)
    await site.around(body_of(7, text="mended around the proxy"))
    done = await site.ask("POST", f"{site.path}/repair", {"ledger": True, "apply": True})
    assert done["refused"] == 2
    assert (done["outcome"]["repaired"], done["outcome"]["unsettled"]) == (1, [8])
    await site.around(body_of(8, text="mended, too"))
    done = await site.ask("POST", f"{site.path}/repair", {"ledger": True, "apply": True})
    assert done["outcome"]["repaired"] == 1
    await site.settled()
    assert await site.quarantined() == []


async def test_without_a_receipt_there_is_nothing_to_repair(site: Operated) -> None:
    """Nor without a mirror; the answer says what to do."""
    path = f"{site.path}/repair"
    assert "only mirrored" in (await site.ask("POST", path, {}, status=409))["detail"]
    await site.moved(Stage.DUALWRITE)
    assert "run `vecferry verify` first" in (await site.ask("POST", path, {}, status=409))["detail"]


async def until_listed(site: Operated, point_id: int) -> None:
    """Return when an id is in the quarantine."""
    async with asyncio.timeout(10):
        while point_id not in {each[0] for each in await site.quarantined()}:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def versions(database: Database, point_id: int) -> list[int]:
    """Return the version of a point's row."""
    async with database.connection() as connection:
        table = await connection.fetchval(
            "SELECT 'vecferry_data.points_' || max(id) FROM vecferry.collections"
        )
        rows = await connection.fetch(
            f"SELECT version FROM {table} WHERE key = $1", encode_key(point_id)
        )
    return [row["version"] for row in rows]
