"""Aliases on two whole instances, a real Qdrant engine and a real Postgres (R10)."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import replace

import httpx
import pytest

from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.store import PgStore
from tests.service.protocol.pairs import BODY, Pair, to_stage

_PATH = "/collections/aliases"


def _create(alias: str, collection: str) -> dict[str, object]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}


def _delete(alias: str) -> dict[str, object]:
    return {"delete_alias": {"alias_name": alias}}


async def _change(client: httpx.AsyncClient, *actions: Mapping[str, object]) -> httpx.Response:
    return await client.post(_PATH, json={"actions": list(actions)})


async def _listed(client: httpx.AsyncClient) -> dict[str, str]:
    aliases = (await client.get("/aliases")).json()["result"]["aliases"]
    return {each["alias_name"]: each["collection_name"] for each in aliases}


async def _of_pair(pair: Pair, client: httpx.AsyncClient) -> dict[str, str]:
    """Return the aliases of the pair's collections: others share the source."""
    return {
        alias: name for alias, name in (await _listed(client)).items() if name.startswith(pair.name)
    }


async def _equal(pair: Pair) -> dict[str, str]:
    """Return the aliases, which are the same in both stores and for both instances."""
    await pair.settled()
    on_target = await PgStore(pair.database).aliases()
    assert await _of_pair(pair, pair.qdrant) == on_target
    for here in (pair.one, pair.two):
        assert await _of_pair(pair, here.client) == on_target
    return on_target


def _other(pair: Pair) -> Pair:
    return replace(pair, name=f"{pair.name}-b")


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.LIVE, Stage.RAMPDOWN])
async def test_both_stores_and_both_instances_have_the_same_aliases(
    pair: Pair, stage: Stage
) -> None:
    """Whichever is right: made, moved, renamed, deleted, and gone with their collection."""
    other, alias = _other(pair), f"{pair.name}-alias"
    await to_stage(pair, stage)
    await to_stage(other, stage)
    assert (await _change(pair.one.client, _create(alias, pair.name))).status_code == 200
    point = {"id": 1, "vector": [1.0, 2.0], "payload": {"life": 7}}
    path = f"/collections/{alias}/points?wait=true"
    # Known to the other instance at once.
    assert (await pair.two.client.put(path, json={"points": [point]})).status_code == 200
    assert await _equal(pair) == {alias: pair.name}
    assert await pair.on_source() == await pair.on_target() == {1: 7}
    moved = await _change(pair.two.client, _delete(alias), _create(alias, other.name))
    assert moved.json()["result"] is True
    counted = await pair.one.client.post(f"/collections/{alias}/points/count", json={})
    assert counted.json()["result"]["count"] == 0
    assert await _equal(pair) == {alias: other.name}
    renamed = {"rename_alias": {"old_alias_name": alias, "new_alias_name": f"{alias}-2"}}
    assert (await _change(pair.one.client, renamed)).status_code == 200
    assert await _equal(pair) == {f"{alias}-2": other.name}
    assert (await pair.two.client.delete(other.path)).json()["result"] is True
    await pair.one.instance.plane.refresh()
    assert await _equal(pair) == {}
    assert (await pair.one.client.get(f"/collections/{alias}-2")).status_code == 404


async def test_aliases_come_over_with_the_collection_and_go_back(pair: Pair) -> None:
    """In force in Postgres from the moment in which it is right, and in Qdrant again after a rollback."""
    alias, second = f"{pair.name}-alias", f"{pair.name}-second"
    await to_stage(pair, Stage.SHADOW)
    # Around us: nobody told the ledger.
    await _change(pair.qdrant, _create(alias, pair.name))
    await pair.moved(Stage.LIVE)
    assert await _equal(pair) == {alias: pair.name}
    assert (await _change(pair.two.client, _create(second, pair.name))).status_code == 200
    await pair.moved(Stage.SHADOW)
    assert await _equal(pair) == {alias: pair.name, second: pair.name}
    assert (await _change(pair.one.client, _delete(alias))).status_code == 200
    assert await _equal(pair) == {second: pair.name}
    for stage in (Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE):
        await pair.moved(stage)
    # From here on Qdrant hears nothing more, and nobody asks it.
    await _change(pair.one.client, _delete(second), _create(alias, pair.name))
    assert await PgStore(pair.database).aliases() == {alias: pair.name}
    assert await _of_pair(pair, pair.two.client) == {alias: pair.name}
    assert await _of_pair(pair, pair.qdrant) == {second: pair.name}
    assert (await pair.two.client.get(f"/collections/{second}")).status_code == 404
    assert (await pair.two.client.get(f"/collections/{alias}")).status_code == 200


async def _changer(
    client: httpx.AsyncClient, names: list[str], aliases: list[str], chance: random.Random
) -> None:
    for _ in range(8):
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        alias, kind = chance.choice(aliases), chance.random()
        if kind < 0.6:
            answer = await _change(client, _delete(alias), _create(alias, chance.choice(names)))
        elif kind < 0.8:
            answer = await _change(client, _delete(alias))
        else:
            other = chance.choice(aliases)
            renamed = {"rename_alias": {"old_alias_name": alias, "new_alias_name": other}}
            answer = await _change(client, renamed)
        assert answer.status_code in {200, 404, 503}, answer.text


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.LIVE])
async def test_two_instances_move_the_same_aliases(pair: Pair, stage: Stage, seed: int) -> None:
    """Whatever they do at the same moment, it ends with equal stores and an empty ledger."""
    chance, other = random.Random(seed), _other(pair)
    await to_stage(pair, stage)
    await to_stage(other, stage)
    aliases = [f"{pair.name}-{letter}" for letter in "xyz"]
    async with asyncio.TaskGroup() as tasks:
        for here in (pair.one, pair.two):
            for _ in range(2):
                own = random.Random(chance.random())
                tasks.create_task(_changer(here.client, [pair.name, other.name], aliases, own))
    await _equal(pair)


async def test_a_collection_is_not_made_under_an_alias(pair: Pair) -> None:
    """Nor is an alias of what is not there, in Qdrant's words, and the whole list counts or nothing."""
    alias = f"{pair.name}-alias"
    await to_stage(pair, Stage.LIVE)
    await _change(pair.one.client, _create(alias, pair.name))
    made = await pair.two.client.put(f"/collections/{alias}", json=BODY)
    assert (made.status_code, "Alias with the same name" in made.text) == (400, True)
    control = PostgresControl(pair.database)
    before = await PgStore(pair.database).aliases()
    renamed = {"rename_alias": {"old_alias_name": "nothing", "new_alias_name": "b"}}
    refused = await _change(pair.one.client, _create("b", pair.name), renamed)
    assert (refused.status_code, refused.json()["status"]["error"]) == (
        404,
        "Not found: Alias nothing does not exists!",
    )
    taken = await _change(pair.one.client, _create(pair.name, pair.name))
    assert taken.status_code == 409
    assert await PgStore(pair.database).aliases() == before
    assert (await control.load())[1][0].aliases == {alias}
    exists = await pair.one.client.get(f"/collections/{alias}/exists")
    assert exists.json()["result"] == {"exists": True}
