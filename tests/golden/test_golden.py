"""Refusals with Qdrant's own texts, as its source has them; ``cases.json`` lists them.

They run against a vecferry without any Qdrant and, where ``VECFERRY_TEST_QDRANT_URL`` names one, against a real server.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fuzz.running import Running, running_rig

_CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text())
_VECTORS = {"vectors": {"size": 4, "distance": "Dot"}}
_COLLECTIONS: dict[str, dict[str, Any]] = {
    "golden": _VECTORS,
    "strict": {
        **_VECTORS,
        "strict_mode_config": {
            "enabled": True,
            "max_query_limit": 5,
            "max_timeout": 2,
            "search_allow_exact": False,
            "unindexed_filtering_retrieve": False,
            "upsert_max_batchsize": 1,
            "max_payload_index_count": 0,
        },
    },
}
_IS_SERVER = bool(os.environ.get("VECFERRY_TEST_QDRANT_URL"))


@pytest.fixture(scope="module")
def running(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Both systems with the collections that the cases are about."""
    with running_rig(module_database_url, tmp_path_factory.mktemp("golden")) as opened:
        for name, config in _COLLECTIONS.items():
            for client in (opened.both.oracle, opened.both.subject):
                made = opened.wait(client.put(f"/collections/{name}", json=config))
                assert made.status_code == 200, made.text
        yield opened
        for name in _COLLECTIONS:
            for client in (opened.both.oracle, opened.both.subject):
                opened.wait(client.delete(f"/collections/{name}"))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: str(case["name"]))
def test_a_refusal(running: Running, case: dict[str, Any]) -> None:
    """Status and text are the ones of the list, on both systems where the other one is a server."""
    _check(case, running.wait(_send(running.both.subject, case)))
    if _IS_SERVER:
        _check(case, running.wait(_send(running.both.oracle, case)))


async def _send(client: httpx.AsyncClient, case: dict[str, Any]) -> httpx.Response:
    body = case.get("raw") or (json.dumps(case["body"]) if "body" in case else None)
    headers = {"content-type": "application/json"}
    return await client.request(case["method"], case["path"], content=body, headers=headers)


def _check(case: dict[str, Any], answer: httpx.Response) -> None:
    said = answer.json()["status"]["error"]
    assert answer.status_code == case["status"], said
    if case.get("is_inside"):
        assert case["text"] in said
    elif case.get("is_prefix"):
        assert said.startswith(case["text"])
    else:
        assert said == case["text"]
