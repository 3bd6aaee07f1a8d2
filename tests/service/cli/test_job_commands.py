"""``vecferry jobs``: a job that goes slowly, seen and steered from the command line."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.service.cli.commands import vecferry

pytestmark = pytest.mark.usefixtures("serving")


async def _job(name: str) -> dict[str, Any]:
    (job,) = json.loads((await vecferry("jobs", "list", name, "--json")).out)
    return dict(job)


async def _until(name: str, is_true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(15.0):
        while not is_true(job := await _job(name)):  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.05)
    return job


async def test_a_job_is_paused_resumed_and_tuned(collection: str) -> None:
    """What is made paused copies nothing; a limit holds; taken away, the job is done at once. Watching ends with it."""
    await vecferry("stage", "set", collection, "dualwrite")
    ran = await vecferry("backfill", collection, "--paused", "--points-per-second", "0.01")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"backfill of 1 collection(s) is paused; begin with `vecferry jobs resume {collection}`",
        f"{collection}: paused",
    ]
    assert (await _job(collection))["scanned"] == 0
    table = (await vecferry("jobs", "list")).out
    assert (collection in table, "paused" in table) == (True, True)
    ran = await vecferry("jobs", "resume", collection)
    assert (ran.code, ran.out.startswith(f"{collection} backfill: preparing")) == (0, True)
    await _until(collection, lambda job: job["phase"] == "running" and job["workers"] == 1)
    ran = await vecferry("jobs", "pause", f"{collection[:-3]}*", "--kind", "backfill")
    assert (ran.code, ran.out.startswith(f"{collection} backfill: paused")) == (0, True)
    await _until(collection, lambda job: job["workers"] == 0)
    shown = (await vecferry("jobs", "show", collection)).out
    assert "points-per-second: 0.01" in shown
    await vecferry("jobs", "tune", collection, "--unlimited", "points-per-second", "--workers", "2")
    options = (await _job(collection))["options"]
    assert (options["points_per_second"], options["workers"], options["paused"]) == (None, 2, True)
    await vecferry("jobs", "resume", collection)
    ran = await vecferry("jobs", "watch", collection)
    assert ran.code == 0
    assert (await _job(collection))["copied"] == 5
    assert (await vecferry("jobs", "watch", collection)).out == "no job is open\n"


async def test_a_job_is_cancelled(collection: str) -> None:
    """It stays listed as such, and a new run begins anew."""
    await vecferry("stage", "set", collection, "dualwrite")
    await vecferry("backfill", collection, "--paused")
    ran = await vecferry("jobs", "cancel", collection)
    assert (ran.code, ran.out.startswith(f"{collection} backfill: cancelled")) == (0, True)
    assert (await _job(collection))["state"] == "cancelled"
    assert (
        await vecferry("backfill", collection)
    ).out == f"{collection}: 5 points read, 5 copied\n"


@pytest.mark.parametrize("command", ["backfill", "verify"])
async def test_detached_jobs_go_on(command: str, collection: str) -> None:
    """The command returns at once and says how to follow it."""
    await vecferry("stage", "set", collection, "dualwrite")
    ran = await vecferry(command, collection, "--detach")
    assert (ran.code, "follow it with `vecferry jobs watch" in ran.out) == (0, True)
    await _until(collection, lambda job: job["state"] == "done")


async def test_what_cannot_be_done_is_one_line(collection: str) -> None:
    """No open job, nothing to tune, a limit that does not exist: status 1 and the reason."""
    for arguments, told in (
        (("pause", collection), "no open job"),
        (("cancel", collection), "no open job"),
        (("show", collection), "no job"),
        (("tune", collection), "nothing to tune"),
        (("tune", collection, "--unlimited", "speed"), "there is no such limit"),
    ):
        ran = await vecferry("jobs", *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert told in ran.err
