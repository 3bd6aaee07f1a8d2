"""Collections with several vectors, of which points have some."""

from collections.abc import Iterator

from tests.parity.asks import Ask, Row, post, query, script
from tests.parity.data import multivectors, sparse, vectors

_VECTOR = {"a": vectors(110, 1, 4)[0], "b": vectors(111, 1, 3)[0], "m": multivectors(112, 1, 2)[0]}
_DENSE = {"dense": {"size": 2, "distance": "Dot"}}
_PUT = "/collections/{c}/points?wait=true"


def rows() -> Iterator[Row]:
    """Reads by name, and names that come and go."""
    for using, vector in {**_VECTOR, "s": sparse(113, 1)[0]}.items():
        yield query("named", f"by {using}", {"query": vector, "using": using, "limit": 40})
        having = {"must": [{"has_vector": using}]}
        yield post("named", f"has {using}", "points/scroll", {"filter": having, "limit": 40})
        lacking = {"must_not": [{"has_vector": using}]}
        yield post("named", f"lacks {using}", "points/count", {"filter": lacking})
    yield query("named", "id with the vector", {"query": 2, "using": "a", "limit": 40})
    yield query("named", "id without the vector", {"query": 1, "using": "a"})
    yield query("named", "unknown name", {"query": [1.0], "using": "nope"})
    yield query("named", "no name", {"query": [1.0, 2, 3, 4]})
    yield query("named", "wrong dimension", {"query": [1.0], "using": "a"})
    yield query("named", "sparse against dense", {"query": sparse(1, 1)[0], "using": "a"})
    yield query("named", "dense against sparse", {"query": [1.0], "using": "s"})
    yield query("named", "multi against dense", {"query": [[1, 2, 3, 4]], "using": "a"})
    unknown = {"filter": {"must": [{"has_vector": "nope"}]}}
    yield post("named", "has an unknown vector", "points/count", unknown)
    for wanted in (True, False, ["a"], ["a", "s"], ["nope"], []):
        body = {"ids": [2, 4, 6, 8, 13, 14, 16], "with_vector": wanted}
        yield post("named", f"vectors {wanted}", "points", body)
    yield from _changing()


def _changing() -> Iterator[Row]:
    new = Ask("PUT", "/collections/{c}/vectors/new", _DENSE)
    thin = Ask("PUT", "/collections/{c}/vectors/thin", {"sparse": {"modifier": "idf"}})
    fill = Ask("PUT", _PUT, {"points": [{"id": 1, "vector": {"new": [1, 2]}}]})
    search = Ask("POST", "/collections/{c}/points/query", {"query": [1, 1], "using": "new"})
    drop = Ask("DELETE", "/collections/{c}/vectors/new")
    yield script("named", "a new vector", [new, fill, search, drop, search, fill])
    yield script("named", "made twice", [new, new])
    other = Ask("PUT", "/collections/{c}/vectors/new", {"dense": {"size": 3, "distance": "Dot"}})
    yield script("named", "made differently", [new, other])
    yield script("named", "one of another kind", [thin, Ask("PUT", thin.path, _DENSE)])
    yield script(
        "named", "dropped twice", [drop, Ask("DELETE", "/collections/{c}/vectors/a"), drop]
    )
    yield script("dense-dot", "beside the unnamed one", [new, fill, search, drop])
    yield script("bare", "the first one", [new, fill, search, drop, new, fill, search])
    multi = {
        "dense": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}
    }
    yield script("bare", "a multivector", [Ask("PUT", new.path, multi), fill, search])
    half = {"dense": {"size": 2, "distance": "Cosine", "datatype": "float16"}}
    yield script("bare", "a half", [Ask("PUT", new.path, half), fill, search])
    sparse_fill = {"points": [{"id": 1, "vector": {"thin": {"indices": [3, 1], "values": [1, 2]}}}]}
    found = {"query": {"indices": [1], "values": [1]}, "using": "thin"}
    yield script(
        "bare",
        "a sparse one",
        [thin, Ask("PUT", _PUT, sparse_fill), Ask("POST", search.path, found)],
    )
