"""Verifications and repairs that are killed: what was tampered with is found, all of it and no more, and mended."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import asyncpg

from service.model.ids import PointId, encode_key
from tests.faults.crew import crew
from tests.faults.drill import Drill
from tests.faults.history import DrillFailed, History
from tests.faults.instances import Instance, Refused
from tests.faults.jobs import LongJob
from tests.faults.states import held
from tests.faults.stock import Ids, body_of

_OF_EACH_KIND = 30
_PACE = 10
"""Points per second until the kills while it compares are over."""
_KILLS = 3
_REPAIR_SECONDS = 60.0
_SLOW_SECONDS = 0.02
_LATEST_KILL_SECONDS = 0.4
_STRANGERS = 2**40
"""Where ids begin that nobody has written."""


async def _source_is_right(history: History) -> str:
    return await _verified_and_repaired(history, is_target_right=False)


async def _target_is_right(history: History) -> str:
    return await _verified_and_repaired(history, is_target_right=True)


async def _verified_and_repaired(history: History, *, is_target_right: bool) -> str:
    """Workers and instances are killed while a verification compares, and judges; then while a repair copies."""
    wrong = await _tampered(history, is_target_right=is_target_right)
    job = await LongJob.begun(history, "verify", points_per_second=_PACE)
    for _ in range(2):
        async with crew(history.rig, 1, 2):
            await asyncio.sleep(history.random.uniform(0.2, 1.0))
        await job.lapse()
    await _all_killed(history, job)
    await _judging_killed(history, job)
    # While Postgres is too slow for the clients' intents, their hints may name any id, and nothing is confirmed.
    async with history.paused():
        found = (await job.ends())["result"]
    _require_found(found, wrong)
    rounds = await _repaired(history)
    again = (await (await LongJob.begun(history, "verify", restart=True)).ends())["result"]
    if not again["complete"] or again["differing"]:
        raise DrillFailed(f"after the repair a verification finds {again}")
    return f"{len(wrong)} ids tampered with, found and mended by {rounds} repairs"


def _require_found(found: Mapping[str, Any], wrong: Mapping[PointId, str]) -> None:
    differing = {each["id"]: each["kinds"] for each in found["differing_ids"]}
    expected = {point_id: [kind] for point_id, kind in wrong.items()}
    if differing != expected:
        odd = [
            f"{each}: {differing.get(each)}, not {expected.get(each)}"
            for each in expected.keys() | differing.keys()
            if differing.get(each) != expected.get(each)
        ]
        raise DrillFailed(
            f"the receipt has {len(differing)} ids and {found['unsettled']} unsettled ones; {odd[:3]}"
        )
    if not found["complete"] or found["clean"]:
        raise DrillFailed(f"the receipt says {found}")


async def _all_killed(history: History, job: LongJob) -> None:
    """Kill every instance, and start them again."""
    for instance in history.rig.instances:
        await instance.process.kill()
    await job.lapse()
    for instance in history.rig.instances:
        await instance.heal()


async def _judging_killed(history: History, job: LongJob) -> None:
    """Kill every instance while suspects are judged: in the wait before it, or under the locks."""
    await history.rig.instances[0].tune_job("verify", history.name, points_per_second=None)
    await job.reaches("finishing")
    await asyncio.sleep(history.random.uniform(0.0, 6.0))
    await _all_killed(history, job)


async def _repaired(history: History) -> int:
    """Order the repair again and again, whose instance is killed in the middle of it; return how often it took."""
    deadline = time.monotonic() + _REPAIR_SECONDS
    killed = rounds = 0
    while time.monotonic() < deadline:
        instance = history.random.choice(history.rig.instances)
        rounds += 1
        order = _ordered_and_killed if rounds <= _KILLS else _ordered
        outcome = await order(history, instance)
        await instance.heal()
        killed += outcome is None
        if outcome and not (outcome["differing"] or outcome["unsettled"]):
            if not killed:
                raise DrillFailed("no repair was killed before it had ended")
            return rounds
    raise DrillFailed(f"after {rounds} repairs ids still differ")


async def _ordered(history: History, instance: Instance) -> Mapping[str, Any] | None:
    """Order a repair of everything that differs and return its outcome, ``None`` when nobody answers."""
    try:
        found: dict[str, Any] = (await instance.repair(history.name, after=None, apply=True))[
            "outcome"
        ]
    except Refused:
        return None
    return found


async def _ordered_and_killed(history: History, instance: Instance) -> Mapping[str, Any] | None:
    """Order a repair, which a slow wire makes long, and kill the instance meanwhile."""
    instance.to_postgres.delay(_SLOW_SECONDS)
    async with asyncio.TaskGroup() as tasks:
        order = tasks.create_task(_ordered(history, instance))
        await asyncio.sleep(history.random.uniform(0.0, _LATEST_KILL_SECONDS))
        await instance.process.kill()
    return order.result()


async def _tampered(history: History, *, is_target_right: bool) -> Mapping[PointId, str]:
    """Change points that no client writes, in the store that is not right; return how each differs."""
    chosen = history.random.sample(sorted(history.stock, key=str), 2 * _OF_EACH_KIND)
    changed, taken = chosen[:_OF_EACH_KIND], chosen[_OF_EACH_KIND:]
    added: list[PointId] = [_STRANGERS + number for number in range(_OF_EACH_KIND)]
    if is_target_right:
        await _tamper_qdrant(history, changed, taken, added)
        kinds = ("payload", "extra", "missing")
    else:
        await _tamper_postgres(history, changed, taken, added)
        kinds = ("payload", "missing", "extra")
    wrong: dict[PointId, str] = {}
    for ids, kind in zip((changed, taken, added), kinds, strict=True):
        wrong |= dict.fromkeys(ids, kind)
    return wrong


async def _tamper_qdrant(
    history: History, changed: Sequence[PointId], taken: Sequence[PointId], added: Sequence[PointId]
) -> None:
    url = f"{history.rig.qdrant_url}/collections/{history.name}/points"
    points = [body_of(each, held({"tampered": True}, {})) for each in added]
    for method, path, body in (
        ("PUT", "/payload", {"payload": {"tampered": True}, "points": list(changed)}),
        ("POST", "/delete", {"points": list(taken)}),
        ("PUT", "", {"points": points}),
    ):
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{url}{path}?wait=true", json=body) as answer,
        ):
            answer.raise_for_status()


async def _tamper_postgres(
    history: History, changed: Sequence[PointId], taken: Sequence[PointId], added: Sequence[PointId]
) -> None:
    connection = await asyncpg.connect(history.rig.postgres.dsn)
    try:
        number = await connection.fetchval(
            "SELECT id FROM vecferry.collections WHERE name = $1", history.name
        )
        points = f"vecferry_data.points_{number}"
        for statement, ids in (
            (
                f"UPDATE {points} SET payload = '{{\"tampered\": true}}' WHERE key = ANY ($1)",
                changed,
            ),
            (f"DELETE FROM {points} WHERE key = ANY ($1)", taken),
            (
                f"INSERT INTO {points} (key, payload, version) SELECT key, '{{}}', 0 FROM unnest($1::bytea[]) AS key",
                added,
            ),
        ):
            await connection.execute(statement, [encode_key(each) for each in ids])
    finally:
        await connection.close()


def drills() -> list[Drill]:
    """Return the drills that verify and repair what was tampered with, with either store right."""
    return [
        Drill(f"verify and repair, {side} is right", stage, storm, stock=Ids.MIXED)
        for side, stage, storm in (
            ("source", "shadow", _source_is_right),
            ("target", "live", _target_is_right),
        )
    ]
