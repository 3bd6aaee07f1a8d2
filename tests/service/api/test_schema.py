"""The dry run of a schema: from Qdrant's description to statements, through a whole instance and the command."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service import keys
from service.cli.client import ControlClient
from service.config import Settings
from service.errors import StageError
from tests.service.cli.commands import run
from tests.service.wired import wired

_PLAN: dict[str, Any] = {
    "collection": "c", "exists": False, "points": 7, "notes": ["the vector: vector(2), Dot"],
    "tables": ["CREATE TABLE a ()"], "indexes": ["CREATE INDEX CONCURRENTLY b ON a (c)"],
    "table_bytes": 3 << 20, "index_bytes": 5 << 30, "build_megabytes": 64, "allowed_megabytes": 512,
}  # fmt: skip


@pytest.fixture
async def control(
    database_url: str, qdrant_url: str, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The control API of an instance between real engines."""
    settings = Settings(
        database_url=SecretStr(database_url), qdrant_url=qdrant_url, data_dir=tmp_path
    )
    async with wired(settings) as here:
        transport = httpx.ASGITransport(here.instance.control)
        headers = {"Authorization": f"Bearer {keys.read(tmp_path)}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://control/v1/control", headers=headers
        ) as client:
            yield client


@pytest.fixture
def collection(qdrant_url: str, collection_name: str) -> Callable[[int], str]:
    """Make a collection of so many dimensions on the source."""

    def make(dimensions: int) -> str:
        at = f"{qdrant_url}/collections/{collection_name}"
        vectors = {"size": dimensions, "distance": "Dot"}
        httpx.put(at, json={"vectors": vectors}, timeout=30.0).raise_for_status()
        field = {"field_name": "city", "field_schema": "keyword"}
        httpx.put(f"{at}/index?wait=true", json=field, timeout=30.0).raise_for_status()
        points = [{"id": 1, "vector": [0.5] * dimensions, "payload": {"city": "x"}}]
        httpx.put(f"{at}/points?wait=true", json={"points": points}, timeout=60.0)
        return collection_name

    return make


async def test_a_plan_of_a_collection_that_nobody_has_armed(
    control: httpx.AsyncClient, collection: Callable[[int], str]
) -> None:
    """From its configuration, its payload indexes and its points; nothing is made by asking."""
    name = collection(3)
    found = (await control.get(f"/collections/{name}/schema")).raise_for_status().json()
    assert (found["collection"], found["exists"], found["points"]) == (name, False, 1)
    assert 'CREATE TABLE "vecferry_data"."points_1"' in found["tables"][0]
    assert '"vector"(3)' in found["tables"][1]
    assert "USING gin (payload jsonb_path_ops)" in found["indexes"][0]
    assert found["table_bytes"] > 0
    [status] = [
        each
        for each in (await control.get("/status")).json()["collections"]
        if each["name"] == name
    ]
    assert status["stage"] == "off"


async def test_a_collection_that_allows_few_points_per_request(
    control: httpx.AsyncClient, collection: Callable[[int], str], qdrant_url: str
) -> None:
    """Its strict mode makes the sample smaller, and no error."""
    name = collection(3)
    strict = {"strict_mode_config": {"enabled": True, "max_query_limit": 10}}
    async with httpx.AsyncClient(base_url=qdrant_url, timeout=30.0) as client:
        (await client.patch(f"/collections/{name}", json=strict)).raise_for_status()
    found = (await control.get(f"/collections/{name}/schema")).raise_for_status().json()
    assert found["points"] == 1
    assert found["table_bytes"] > 0


async def test_what_cannot_be_held_and_what_is_not_there(
    control: httpx.AsyncClient, collection: Callable[[int], str]
) -> None:
    """The first names the place in the configuration."""
    refused = await control.get(f"/collections/{collection(16_001)}/schema")
    assert refused.status_code == 501
    assert "size is more than 16000 dimensions" in refused.json()["detail"].replace("`", "")
    assert (await control.get("/collections/nothing-of-that-name/schema")).status_code == 404


class _Control:
    """A control API that can plan one of two collections."""

    def matching(self, _: str) -> list[str]:
        return ["c", "wide"]

    def schema(self, name: str) -> dict[str, Any]:
        if name != "c":
            message = "vectors.size is more than 16000 dimensions"
            raise StageError(message)
        return _PLAN


def test_the_command_prints_notes_statements_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is refused does not hide the other, and the status says so."""
    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: _Control()))
    code, out, err = run("schema", "*")
    assert (code, err) == (1, "wide: vectors.size is more than 16000 dimensions\n")
    assert (
        "tables: 1, about 3.1 MB; indexes built behind the copy: 1, the HNSW ones about 5.4 GB"
        in out
    )
    _, out, _ = run("schema", "*", "--sql")
    assert out.splitlines() == [
        "-- c, 7 points",
        "-- the vector: vector(2), Dot",
        "CREATE TABLE a ();",
        "-- Behind the copy; each on its own, outside a transaction.",
        "CREATE INDEX CONCURRENTLY b ON a (c);",
    ]
    _, out, _ = run("schema", "*", "--json")
    assert json.loads(out) == _PLAN
