"""One application, written against Qdrant's stock client: every call's answer is kept, to be compared."""

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

UUID_A = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"
UUID_B = "00000000-0000-0000-0000-000000000001"

Answers = list[tuple[str, Any]]


def run(client: QdrantClient, url: str, name: str) -> Answers:
    """Use every operation that both stores answer, on a fresh collection ``name``, and drop it."""
    client.delete_collection(name)  # left over on a server that outlives the tests
    answers: Answers = []

    def keep(label: str, call: Callable[[], Any]) -> None:
        try:
            answers.append((label, _comparable(call())))
        except UnexpectedResponse as error:
            answers.append((label, (error.status_code, _body(error.content))))

    _create(client, name, keep)
    _write(client, name, keep)
    _read(client, name, keep)
    _search(client, name, keep)
    _err(client, name, keep)
    answers += _raw_errors(url, name)
    keep("drop", lambda: client.delete_collection(name))
    keep("dropped", lambda: client.collection_exists(name))
    return answers


Keep = Callable[[str, Callable[[], Any]], None]


def _create(client: QdrantClient, name: str, keep: Keep) -> None:
    vectors = {
        "text": models.VectorParams(size=4, distance=models.Distance.COSINE),
        "image": models.VectorParams(size=2, distance=models.Distance.EUCLID),
    }
    keep("create", lambda: client.create_collection(name, vectors_config=vectors))
    keep("create again", lambda: client.create_collection(name, vectors_config=vectors))
    keep("exists", lambda: client.collection_exists(name))
    keep("config", lambda: client.get_collection(name).config.params.vectors)
    keep("listed", lambda: name in {c.name for c in client.get_collections().collections})


def points() -> list[models.PointStruct]:
    """Return the points of the script: integers and UUIDs, nested, null and mixed payloads."""
    payloads: list[dict[str, Any]] = [
        {"city": "Bern", "n": 1, "tags": ["a", "b"], "deep": {"x": [{"y": 1}, {"y": 2}]}},
        {"city": "Biel", "n": 2.5, "tags": [], "empty": None},
        {"city": "Chur", "n": "3", "ok": True, "ünïcode": "Zürich 🏔"},
        {"n": -4, "tags": "a"},
        {},
    ]
    ids: list[int | str] = [1, 2, 2**53 + 1, UUID_A, UUID_B]
    return [
        models.PointStruct(
            id=point_id,
            vector={"text": [at + 1.0, 0.5, -at, 0.25], "image": [float(at), 1.0]},
            payload=payload,
        )
        for at, (point_id, payload) in enumerate(zip(ids, payloads, strict=True))
    ]


def _write(client: QdrantClient, name: str, keep: Keep) -> None:
    keep("upsert", lambda: client.upsert(name, points(), wait=True).status)
    batch = models.Batch(
        ids=[10, 11, 12],
        vectors={"text": [[1.0, 0, 0, 0], [0.0, 1, 0, 0], [0.0, 0, 1, 0]]},
        payloads=[{"n": 10}, {"n": 11}, {"n": 12, "city": "Bern"}],
    )
    keep("columnar", lambda: client.upsert(name, batch, wait=True).status)
    once = models.PointStruct(id=13, vector={"image": [3.0, 4.0]}, payload={"n": 13})
    keep("twice one id", lambda: client.upsert(name, [points()[0], once, once]).status)
    keep("set payload", lambda: client.set_payload(name, {"new": [1, {"a": None}]}, [1, 2]).status)
    keep(
        "set payload by filter",
        lambda: client.set_payload(name, {"seen": True}, _where("city", "Bern")).status,
    )
    keep("set null", lambda: client.set_payload(name, {"empty": None, "n": 0}, [2]).status)
    keep("overwrite", lambda: client.overwrite_payload(name, {"only": 1}, [11]).status)
    keep("delete key", lambda: client.delete_payload(name, ["tags", "deep.x[0].y"], [1]).status)
    keep("clear", lambda: client.clear_payload(name, [10]).status)
    keep("delete ids", lambda: client.delete(name, [13, 999], wait=True).status)
    keep("delete by filter", lambda: client.delete(name, _where("n", 12)).status)
    keep("unknown id", lambda: client.set_payload(name, {"a": 1}, [777]))


def _read(client: QdrantClient, name: str, keep: Keep) -> None:
    ids: list[int | str] = [UUID_A, 1, 404, 2, 1, UUID_B.upper()]
    keep("retrieve", lambda: client.retrieve(name, ids, with_vectors=True))
    keep("include", lambda: client.retrieve(name, [1], with_payload=["city", "deep"]))
    keep(
        "exclude",
        lambda: client.retrieve(
            name, [1], with_payload=models.PayloadSelectorExclude(exclude=["city"])
        ),
    )
    keep("one vector", lambda: client.retrieve(name, [1], with_vectors=["image"]))
    keep("scroll", lambda: client.scroll(name, limit=100, with_vectors=True))
    keep("pages", lambda: _pages(client, name))
    keep("count", lambda: client.count(name).count)
    for label, condition in FILTERS.items():
        keep(f"where {label}", partial(_ids, client, name, condition))


def _pages(client: QdrantClient, name: str) -> list[Any]:
    pages, offset = [], None
    while True:
        page, offset = client.scroll(name, limit=2, offset=offset)
        pages.append([point.id for point in page])
        if offset is None:
            return pages


def _where(key: str, value: str | int) -> models.Filter:
    match = models.MatchValue(value=value)
    return models.Filter(must=[models.FieldCondition(key=key, match=match)])


def _field(key: str, **condition: Any) -> models.FieldCondition:
    return models.FieldCondition(key=key, **condition)


FILTERS: dict[str, models.Filter] = {
    "text": _where("city", "Bern"),
    "integer": _where("n", 1),
    "boolean": models.Filter(must=[_field("ok", match=models.MatchValue(value=True))]),
    "any": models.Filter(must=[_field("city", match=models.MatchAny(any=["Bern", "Chur"]))]),
    "except": models.Filter(
        must=[_field("city", match=models.MatchExcept(**{"except": ["Bern"]}))]
    ),
    "array": _where("tags", "a"),
    "range": models.Filter(must=[_field("n", range=models.Range(gte=0, lt=3))]),
    "has id": models.Filter(must=[models.HasIdCondition(has_id=[1, UUID_A, 404])]),
    "empty": models.Filter(
        must=[models.IsEmptyCondition(is_empty=models.PayloadField(key="tags"))]
    ),
    "not": models.Filter(must_not=[_field("city", match=models.MatchValue(value="Bern"))]),
    "should": models.Filter(
        should=[_field("n", range=models.Range(gt=9)), _field("ok", match={"value": True})]
    ),
    "nested": models.Filter(
        must=[models.Filter(should=[_where("city", "Biel"), _where("city", "Chur")])],
        must_not=[models.HasIdCondition(has_id=[2])],
    ),
}


def _ids(client: QdrantClient, name: str, condition: models.Filter) -> list[Any]:
    return [point.id for point in client.scroll(name, condition, limit=100)[0]]


def _search(client: QdrantClient, name: str, keep: Keep) -> None:
    vector = [0.9, 0.1, 0.3, 0.2]

    def search(**options: Any) -> Callable[[], Any]:
        arguments = {"query": vector, "using": "text", "limit": 3, **options}
        return lambda: client.query_points(name, **arguments).points

    keep("nearest", search())
    keep("nearest euclid", search(query=[1.1, 1.0], using="image"))
    keep("with all", search(with_payload=True, with_vectors=True))
    keep("offset", search(offset=2))
    keep("threshold", search(score_threshold=0.9, limit=10))
    keep("threshold euclid", search(query=[0.2, 1.0], using="image", score_threshold=2.5))
    keep("filtered", search(query_filter=FILTERS["should"], limit=10))
    keep("exact", search(search_params=models.SearchParams(exact=True)))
    keep("by id", search(query=1))


def _err(client: QdrantClient, name: str, keep: Keep) -> None:
    short = [models.PointStruct(id=1, vector={"text": [1.0, 2.0]})]
    keep("wrong dimension", lambda: client.upsert(name, short))
    keep("unknown vector", lambda: client.query_points(name, [1.0], using="nope"))
    keep("wrong query dimension", lambda: client.query_points(name, [1.0], using="text"))
    keep("unknown query id", lambda: client.query_points(name, 4040, using="text"))
    keep("unknown collection", lambda: client.count(f"{name}-nope"))


RAW: dict[str, tuple[str, str, bytes]] = {
    "malformed": ("POST", "/points/scroll", b'{"limit": '),
    "bad id": ("POST", "/points", b'{"ids": ["abc"]}'),
    "bad id in path": ("GET", "/points/abc", b""),
    "missing point": ("GET", "/points/4040", b""),
    "limit 0": ("POST", "/points/scroll", b'{"limit": 0}'),
    "no object": ("POST", "/points/count", b"[1]"),
    "negative id": ("POST", "/points", b'{"ids": [-1]}'),
    "bad upsert id": ("PUT", "/points?wait=true", b'{"points":[{"id":"abc","vector":[1]}]}'),
    "unknown condition": ("POST", "/points/count", b'{"filter":{"must":[{"nope":1}]}}'),
}


def _raw_errors(url: str, name: str) -> Answers:
    found: Answers = []
    for label, (method, path, body) in RAW.items():
        answer = httpx.request(method, f"{url}/collections/{name}{path}", content=body)
        found.append((label, (answer.status_code, _body(answer.content))))
    return found


def _body(content: bytes) -> Any:
    """Return an error's text; positions in malformed JSON differ by parser, so only its class is kept."""
    text = httpx.Response(200, content=content).json()["status"]["error"]
    return text.partition(":")[0] if text.startswith("Format error") else text


def _comparable(value: Any) -> Any:
    """Return plain values; a point's version counts a store's operations, it is no answer about the data."""
    match value:
        case list() | tuple():
            return [_comparable(entry) for entry in value]
        case dict():
            return {key: _comparable(entry) for key, entry in value.items()}
        case models.ScoredPoint() | models.Record():
            plain = value.model_dump(exclude={"version"})
            return _comparable(plain)
        case float():
            return float(f"{value:.6g}")
        case _:
            return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
