"""An application cannot tell which store answers: the same script, the same answers."""

import asyncio

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from tests.system import script
from tests.system.processes import Proxy

SEED = models.PointStruct(id=7, vector=[0.1, 0.2], payload={"first": True})


def _client(url: str) -> QdrantClient:
    return QdrantClient(url=url, check_compatibility=False, timeout=30)


def _differences(
    expected: script.Answers, found: script.Answers
) -> list[tuple[str, object, object]]:
    assert [label for label, _ in expected] == [label for label, _ in found]
    return [
        (label, was, now)
        for (label, was), (_, now) in zip(expected, found, strict=True)
        if was != now
    ]


@pytest.fixture(scope="module")
def direct(qdrant_url: str) -> script.Answers:
    """What Qdrant itself answers."""
    return script.run(_client(qdrant_url), qdrant_url, "script")


def test_the_script_meets_what_it_means_to(direct: script.Answers) -> None:
    """Most calls succeed, the ones that shall fail do: a script of errors would prove nothing."""
    failed = {label for label, answer in direct if isinstance(answer, tuple)}
    assert failed == {
        "create again", "unknown id", "wrong dimension", "unknown vector", "wrong query dimension",
        "unknown query id", "unknown collection", *script.RAW,
    }  # fmt: skip


def test_off_answers_as_qdrant(direct: script.Answers, shared_proxy: Proxy) -> None:
    """Everything passes through untouched while a collection is off."""
    found = script.run(_client(shared_proxy.url), shared_proxy.url, "script")
    assert _differences(direct, found) == []


def test_dualwrite_answers_as_qdrant_and_mirrors_everything(
    direct: script.Answers, mirroring_proxy: Proxy
) -> None:
    """With everything new mirrored, answers stay Qdrant's and both stores end up equal."""
    client = _client(mirroring_proxy.url)
    found = script.run(client, mirroring_proxy.url, "script")
    assert _differences(direct, found) == []

    client.delete_collection("kept")
    client.create_collection("kept", models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert("kept", [SEED])
    mirroring_proxy.ledger_empties("kept")
    assert mirroring_proxy.collection("kept")["stage"] == "dualwrite"
    assert mirroring_proxy.verify("kept")["clean"]
    assert mirroring_proxy.collection("kept")["points"] == 1


@pytest.mark.parametrize("stage", ["live", "rampdown"])
def test_postgres_answers_as_qdrant_once_it_is_right(
    direct: script.Answers, mirroring_proxy: Proxy, stage: str
) -> None:
    """The script's calls on a collection that Postgres answers for are Qdrant's, word for word."""
    name = f"moved-{stage}"
    client = _client(mirroring_proxy.url)
    moved = _Moved(client, mirroring_proxy, name, stage)
    found = script.run(moved, mirroring_proxy.url, name)  # type: ignore[arg-type]  # a client that moves its collection
    assert moved.has_moved
    assert _differences(_renamed(direct, name), found) == []


def test_complete_needs_no_qdrant(direct: script.Answers, complete_proxy: Proxy) -> None:
    """A proxy without any Qdrant is a Qdrant API on Postgres."""
    found = script.run(_client(complete_proxy.url), complete_proxy.url, "script")
    assert _differences(direct, found) == []


async def test_the_asynchronous_client_works_on_both(
    qdrant_url: str, complete_proxy: Proxy
) -> None:
    """``AsyncQdrantClient`` gets equal answers from the engine and from Postgres."""
    answers = []
    for url in (qdrant_url, complete_proxy.url):
        client = AsyncQdrantClient(url=url, check_compatibility=False)
        await client.delete_collection("async")
        await client.create_collection(
            "async", models.VectorParams(size=2, distance=models.Distance.COSINE)
        )
        await client.upsert("async", [SEED, SEED.model_copy(update={"id": 8})])
        found, count = await asyncio.gather(
            client.query_points("async", [1.0, 1.0], limit=1, score_threshold=0.5),
            client.count("async"),
        )
        answers.append((round(found.points[0].score, 6), count.count))
        await client.delete_collection("async")
        await client.close()
    assert answers[0] == answers[1]


class _Moved:
    """A client that moves its collection to a stage as soon as it has created it."""

    def __init__(self, client: QdrantClient, proxy: Proxy, name: str, stage: str) -> None:
        self._client = client
        self._proxy = proxy
        self._name = name
        self._stage = stage
        self.has_moved = False

    def __getattr__(self, attribute: str) -> object:
        if attribute == "collection_exists" and not self.has_moved:
            way = ("shadow", "live", "rampdown")
            self._proxy.to_stage(self._name, *way[: way.index(self._stage) + 1])
            self.has_moved = True
        return getattr(self._client, attribute)


def _renamed(answers: script.Answers, name: str) -> script.Answers:
    def rename(value: object) -> object:
        match value:
            case str():
                return value.replace("`script", f"`{name}")
            case tuple():
                return tuple(rename(part) for part in value)
            case _:
                return value

    return [(label, rename(answer)) for label, answer in answers]
