"""float16, uint8, multivectors and sparse vectors: stored forms and scores."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Ask, Row, post, query, script
from tests.parity.data import DISTANCES, bytes_, multivectors, sparse, vectors

_HALF = {"must": [{"key": "n", "range": {"lte": 20}}]}


def rows() -> Iterator[Row]:
    """Each kind under each distance."""
    for distance in DISTANCES:
        using = distance.lower()
        yield from _searches("float16", using, [vectors(101, 1)[0], [1e-4] * 8, 2])
        yield from _searches(
            "uint8", using, [bytes_(102, 1)[0], [-1.5, 300, 2.7, 0, 0, 0, 0, 9], 2]
        )
        many = multivectors(103, 1)[0]
        yield from _searches("multi", using, [many, [many[0]], [[0, 0, 0, 0]], many[0], 2])
    for using in ("plain", "idf"):
        yield from _searches(
            "sparse", using, [*sparse(104, 4), 2, {"indices": [77], "values": [1]}]
        )
        yield from _searches("sparse", using, [{"indices": [], "values": []}])
    for dataset in ("float16", "uint8", "multi", "sparse"):
        body = {"limit": 100, "with_vector": True, "with_payload": False}
        yield post(dataset, "what is stored", "points/scroll", body)
    yield from _idf()
    yield from _rounding()


def _searches(dataset: str, using: str, queries: list[Any]) -> Iterator[Row]:
    for wanted in queries:
        body = {"query": wanted, "using": using, "limit": 50}
        yield query(dataset, f"{using} {wanted}", body)
        yield query(dataset, f"{using} {wanted}, filtered", {**body, "filter": _HALF, "limit": 7})
    body = {"query": queries[0], "using": using, "with_vector": [using], "limit": 3, "offset": 2}
    yield query(dataset, f"{using} with vectors", body)
    for threshold in (0.3, 100, -1e200, 1e200):
        body = {"query": queries[0], "using": using, "score_threshold": threshold, "limit": 50}
        yield query(dataset, f"{using} above {threshold}", body)


def _idf() -> Iterator[Row]:
    wanted = sparse(105, 1)[0]
    body = {"query": wanted, "using": "idf", "params": {"idf": "global"}}
    yield query("sparse", "global idf", body)
    of_corpus = {**body, "params": {"idf": {"corpus": _HALF}}}
    yield query("sparse", "idf of a corpus", of_corpus)
    yield query("sparse", "idf of a corpus without the modifier", {**of_corpus, "using": "plain"})


def _rounding() -> Iterator[Row]:
    values = [-1.0, 255.4, 256, 300, 0.5, 1.5, 254.9, -0.4]
    put = Ask(
        "PUT",
        "/collections/{c}/points?wait=true",
        {"points": [{"id": 900, "vector": {d.lower(): values for d in DISTANCES}}]},
    )
    yield script("uint8", "numbers that are no bytes", [put])
    odd = [65504, -65504, 1e-8, 6.1e-5, 0.1, -0.1, 1 / 3, 2049]
    put = Ask(
        "PUT",
        "/collections/{c}/points?wait=true",
        {"points": [{"id": 900, "vector": {"dot": odd, "euclid": [*odd[2:], 1, 2]}}]},
    )
    yield script("float16", "numbers that are no halves", [put])
    beyond = {"points": [{"id": 900, "vector": {"dot": [70_000, *odd[1:]]}}]}
    put = Ask("PUT", "/collections/{c}/points?wait=true", beyond)
    gap = "numbers beyond half precision are refused, Qdrant stores infinity"
    yield script("float16", "numbers beyond halves", [put], gap=gap)
