"""The commands against a real control API on a loopback port, between a real Qdrant engine and a real Postgres."""

import json
from pathlib import Path

import httpx
import pytest

from tests.service.cli.commands import vecferry


@pytest.mark.usefixtures("serving")
async def test_a_migration_from_the_command_line(collection: str) -> None:
    """Mirror, copy, compare, shadow: each command waits for its end, says what it did, and exits 0."""
    ran = await vecferry("stage", "set", collection, "dualwrite")
    assert (ran.code, ran.out) == (0, f"{collection}: dualwrite (epoch 1)\n")
    ran = await vecferry("backfill", collection)
    assert (ran.code, ran.out) == (0, f"{collection}: 5 points read, 5 copied\n")
    ran = await vecferry("backfill", collection)
    done = f"{collection}: was complete already (--restart copies again)\n"
    assert (ran.code, ran.out) == (0, done)
    ran = await vecferry("verify", collection)
    assert (ran.code, ran.out.startswith(f"{collection}: equal: 5 ids compared")) == (0, True)
    ran = await vecferry("verify", collection, "--json")
    assert json.loads(ran.out)[collection]["clean"] is True
    ran = await vecferry("stage", "set", f"{collection[:-3]}*", "shadow")
    assert (ran.code, ran.out) == (0, f"{collection}: shadow (epoch 2)\n")
    ran = await vecferry("stage", "set", collection, "ramp", "--percent", "20")
    assert (ran.code, ran.out) == (0, f"{collection}: ramp 20 % (epoch 3)\n")
    status = json.loads((await vecferry("status", "--json")).out)
    (row,) = [each for each in status["collections"] if each["name"] == collection]
    assert (row["stage"], row["percent"], row["backfilled"], row["points"]) == ("ramp", 20, True, 5)
    assert (row["backfill"]["state"], row["backfill"]["scanned"]) == ("done", 5)
    table = (await vecferry("status")).out
    assert "ramp 20 %" in table
    assert "done 5/5" in table


@pytest.mark.usefixtures("serving")
async def test_a_backfill_says_what_it_left_out(qdrant_url: str, collection: str) -> None:
    """A point that Postgres cannot hold is not passed over in silence, and the command to see it stands there."""
    async with httpx.AsyncClient(base_url=f"{qdrant_url}/collections", timeout=30.0) as client:
        point = {"id": 9, "vector": [1.0, 1.0], "payload": {"text": "a \u0000"}}
        await client.put(f"/{collection}/points?wait=true", json={"points": [point]})
    await vecferry("stage", "set", collection, "dualwrite")
    ran = await vecferry("backfill", collection)
    seen = f"see `vecferry quarantine list {collection}`"
    told = f"{collection}: 6 points read, 5 copied; 1 that Postgres cannot hold: {seen}\n"
    assert (ran.code, ran.out) == (0, told)


@pytest.mark.usefixtures("serving")
async def test_a_gate_that_is_shut_is_an_error(collection: str) -> None:
    """The reason stands on standard error with the collection's name, and the status is 1."""
    await vecferry("stage", "set", collection, "dualwrite")
    ran = await vecferry("stage", "set", collection, "shadow")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"{collection}: `{collection}` has no complete backfill")


@pytest.mark.usefixtures("serving")
async def test_stores_that_differ_are_status_1(collection: str) -> None:
    """Before the backfill nothing is on the target: verify says how much and which ids, and fails."""
    await vecferry("stage", "set", collection, "dualwrite")
    ran = await vecferry("verify", collection)
    assert ran.code == 1
    assert ran.out.startswith(f"{collection}: NOT EQUAL: 5 ids compared, 5 differing")
    missing = [f"  {number}: missing" for number in range(1, 6)]
    assert ran.out.splitlines()[1:-1] == missing
    assert f"`vecferry repair {collection}`" in ran.out.splitlines()[-1]


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("options", [("live", "--percent", "10"), ("ramp",)])
async def test_a_percentage_belongs_to_ramp_alone(
    collection: str, options: tuple[str, ...]
) -> None:
    """Neither `live` for a tenth nor `ramp` for everybody by mistake: one line, and nothing is asked."""
    ran = await vecferry("stage", "set", collection, *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "--percent" in ran.err


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    ("command", "done"),
    [("backfill", "5 points read, 5 copied"), ("verify", "equal: 5 ids compared")],
)
async def test_one_refused_collection_does_not_stop_the_others(
    command: str, done: str, collection: str, other_collection: str
) -> None:
    """The one in stage off is named with the reason, the mirrored one is done, and the status is 1."""
    await vecferry("stage", "set", collection, "dualwrite")
    if command == "verify":
        await vecferry("backfill", collection)
    ran = await vecferry(command, f"{collection}*")
    assert (ran.code, ran.out.startswith(f"{collection}: {done}")) == (1, True)
    assert f"{other_collection}: failed: `{other_collection}` is in stage off" in ran.err


@pytest.mark.usefixtures("serving")
async def test_json_says_why_there_is_no_receipt(collection: str) -> None:
    """A script reads the reason where the receipt would be."""
    ran = await vecferry("verify", collection, "--json")
    document = json.loads(ran.out)[collection]
    assert (ran.code, document["clean"], "stage off" in document["error"]) == (1, False, True)


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("command", ["backfill", "verify"])
async def test_a_job_that_is_refused_is_one_line(command: str, collection: str) -> None:
    """A collection in stage off is neither copied nor compared."""
    ran = await vecferry(command, collection)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert f"`{collection}` is in stage off" in ran.err


@pytest.mark.usefixtures("serving")
async def test_a_pattern_without_a_match_is_an_error() -> None:
    """Nothing to do is not success."""
    ran = await vecferry("stage", "set", "nothing-*", "dualwrite")
    assert (ran.code, ran.out, "nothing-*" in ran.err) == (1, "", True)


@pytest.mark.usefixtures("serving")
async def test_another_instances_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says so instead of showing an answer's code."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "operator.key").write_text("wrong\n")
    monkeypatch.setenv("VECFERRY_DATA_DIR", str(tmp_path / "other"))
    ran = await vecferry("status")
    assert (ran.code, ran.err) == (1, "vecferry: the operator's key is missing or wrong\n")


async def test_where_nobody_serves_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that was asked is in it."""
    (tmp_path / "operator.key").write_text("k\n")
    monkeypatch.setenv("VECFERRY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VECFERRY_CONTROL_PORT", "9")
    ran = await vecferry("status")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("vecferry: no vecferry answers on http://127.0.0.1:9: ")


async def test_the_stages_are_listed_with_their_ways() -> None:
    """Without an instance: it is the table of the code."""
    ran = await vecferry("stage", "list")
    assert "off        → dualwrite\n" in ran.out
    assert "complete   → nowhere\n" in ran.out
