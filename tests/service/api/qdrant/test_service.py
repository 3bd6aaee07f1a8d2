"""Endpoints about the service and the shards."""

import pytest

from service.errors import TimedOut
from tests.service.api.conftest import VERSION, Api


def test_telemetry(api: Api) -> None:
    """The service says what it is and how many collections it has."""
    told = api.result("GET", "/telemetry")
    assert told["app"]["version"] == VERSION
    assert told["collections"] == {"number_of_collections": 1}
    assert told["id"] == api.result("GET", "/telemetry")["id"]


@pytest.mark.parametrize(
    ("method", "path", "result"),
    [
        ("GET", "/issues", {"issues": []}),
        ("DELETE", "/issues", True),
        ("GET", "/cluster", {"status": "disabled"}),
        ("GET", "/collections/c/shards", {"shard_keys": None}),
    ],
)
def test_constants(api: Api, method: str, path: str, result: object) -> None:
    """What one node without advice to give answers."""
    assert api.result(method, path) == result


def test_quotas(api: Api) -> None:
    """There are none, and none can be set."""
    assert api.result("GET", "/quotas")["config"]["enabled"] is False
    assert api.error("PUT", "/quotas", {"enabled": True})[0] == 501


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cluster/telemetry"),
        ("POST", "/cluster/recover"),
        ("DELETE", "/cluster/peer/1"),
        ("POST", "/collections/c/cluster"),
        ("PUT", "/collections/c/shards"),
        ("POST", "/collections/c/shards/delete"),
    ],
)
def test_what_only_a_cluster_can(api: Api, method: str, path: str) -> None:
    """One node answers these 405."""
    assert api.error(method, path, {}) == (405, "Qdrant is running in standalone mode")


def test_a_collection_is_one_shard_here(api: Api) -> None:
    """The shard is active and holds all points."""
    api.result("PUT", "/collections/c/points", {"points": [{"id": 1, "vector": [1, 0]}]})
    told = api.result("GET", "/collections/c/cluster")
    assert told["local_shards"] == [{"shard_id": 0, "points_count": 1, "state": "Active"}]
    assert told["shard_count"] == 1
    assert api.error("GET", "/collections/x/cluster")[0] == 404


def test_nothing_is_ever_optimized(api: Api) -> None:
    """The lists that are asked for are empty; an unknown one is refused with Qdrant's text."""
    told = api.result("GET", "/collections/c/optimizations?with=queued,completed")
    assert (told["running"], told["queued"], told["completed"]) == ([], [], [])
    assert "idle_segments" not in told
    assert set(told["summary"].values()) == {0}
    assert api.error("GET", "/collections/c/optimizations?with=x") == (
        400,
        "Wrong input: Unknown field in 'with' parameter: x",
    )
    assert api.error("GET", "/collections/x/optimizations")[0] == 404


def test_the_text_of_a_passed_time_limit() -> None:
    """As a Qdrant that was asked for too much says it."""
    assert str(TimedOut("GroupBy", 3)) == (
        "Timeout: Timeout error: Operation 'GroupBy' timed out after 3s"
    )
