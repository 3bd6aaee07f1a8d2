"""The register is nobody's collection but ours, asked through a whole instance."""

from collections.abc import Callable

import httpx
import pytest

from service.config import Settings
from service.control.register import REGISTER
from tests.service.wired import wired

MakeSettings = Callable[..., Settings]


async def test_the_register_is_not_there_for_clients(
    settings: MakeSettings, qdrant_url: str, collection_name: str
) -> None:
    """It is neither listed, nor answered, nor changed; everything else in the list stays as it is."""
    async with httpx.AsyncClient(base_url=qdrant_url, timeout=30) as direct:
        for name in (REGISTER, collection_name):
            await direct.put(f"/collections/{name}", json={"vectors": {}})
        async with wired(settings(qdrant_url=qdrant_url)) as here:
            listed = (await here.client.get("/collections")).json()["result"]["collections"]
            everything = (await direct.get("/collections")).json()["result"]["collections"]
            assert listed == [entry for entry in everything if entry["name"] != REGISTER]
            assert {"name": collection_name} in listed
            path = f"/collections/{REGISTER}"
            for method, suffix in (("GET", ""), ("POST", "/points/scroll"), ("PUT", "/points")):
                answer = await here.client.request(method, path + suffix, json={})
                assert answer.status_code == 404
                assert f"`{REGISTER}` doesn't exist" in answer.json()["status"]["error"]
            assert (await here.client.get(f"{path}/exists")).json()["result"] == {"exists": False}
            assert (await here.client.put(path, json={})).status_code == 400
            assert (await here.client.delete(path)).json()["result"] is False
            alias = {"create_alias": {"collection_name": REGISTER, "alias_name": "a"}}
            answer = await here.client.post("/collections/aliases", json={"actions": [alias]})
            assert answer.status_code == 404
        assert (await direct.get(f"/collections/{REGISTER}")).status_code == 200


@pytest.mark.parametrize("spelling", ["%5Fvecferry", "_vecferry/"])
async def test_however_it_is_spelt(settings: MakeSettings, qdrant_url: str, spelling: str) -> None:
    """An encoded name or a slash leads nobody around."""
    async with wired(settings(qdrant_url=qdrant_url)) as here:
        answer = await here.client.get(f"/collections/{spelling}")
    assert answer.status_code == 404
