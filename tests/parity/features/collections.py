"""Collections: what is created, echoed, changed and refused."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.parity.asks import Ask, Row, Rule, get, script

_DENSE = {"size": 4, "distance": "Cosine"}
_CREATED: dict[str, Any] = {
    "plain": {"vectors": _DENSE},
    "nothing": {},
    "no vectors": {"vectors": {}},
    "named": {"vectors": {"a": _DENSE, "b": {"size": 2, "distance": "Dot", "on_disk": True}}},
    "sparse": {"sparse_vectors": {"s": {}, "t": {"modifier": "idf", "index": {"on_disk": True}}}},
    "tuned": {
        "vectors": {**_DENSE, "hnsw_config": {"m": 8}, "on_disk": False},
        "hnsw_config": {"m": 32, "ef_construct": 50},
        "optimizers_config": {"indexing_threshold": 1, "default_segment_number": 3},
        "wal_config": {"wal_capacity_mb": 1},
        "on_disk_payload": False,
        "replication_factor": 1,
        "shard_number": 1,
        "metadata": {"owner": "me", "n": {"x": [1]}},
    },
    "quantized": {
        "vectors": {**_DENSE, "quantization_config": {"binary": {"always_ram": True}}},
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.9}},
    },
    "small types": {
        "vectors": {
            "h": {**_DENSE, "datatype": "float16"},
            "u": {**_DENSE, "datatype": "uint8"},
            "m": {**_DENSE, "multivector_config": {"comparator": "max_sim"}},
        },
        "sparse_vectors": {"s": {"index": {"datatype": "float16"}}},
    },
    "strict": {"vectors": _DENSE, "strict_mode_config": {"enabled": True, "max_query_limit": 5}},
}
_REFUSED: dict[str, Any] = {
    "size of 0": {"vectors": {"size": 0, "distance": "Dot"}},
    "size beyond": {"vectors": {"size": 70_000, "distance": "Dot"}},
    "unknown distance": {"vectors": {"size": 4, "distance": "L7"}},
    "no distance": {"vectors": {"size": 4}},
    "a list": [],
    "m too small": {"vectors": _DENSE, "hnsw_config": {"ef_construct": 1}},
}
_PATCHES: dict[str, Any] = {
    "nothing": {},
    "hnsw": {"hnsw_config": {"m": 40}},
    "optimizers": {"optimizers_config": {"indexing_threshold": 77}},
    "params": {"params": {"on_disk_payload": False}},
    "metadata": {"metadata": {"a": 1, "b": {"c": None}}},
    "a vector": {"vectors": {"": {"on_disk": True, "hnsw_config": {"m": 6}}}},
    "quantization": {"quantization_config": {"scalar": {"type": "int8"}}},
    "no quantization": {"quantization_config": "Disabled"},
    "an unknown vector": {"vectors": {"zz": {"on_disk": True}}},
}

_SPELLINGS = (
    *(
        '"city"',
        "city",
        "city[]",
        '"a b"',
        '""',
        '"a.b".c',
        'a."b[]"[].c[007]',
        "\u65e5\u672c.\u00df",
    ),
    *('"-_"', '"e\u0301"', '"\u2603"'),
)
"""Of payload paths; Qdrant shows one spelling of each."""


def rows() -> Iterator[Row]:
    """Creation, changes, lists."""
    for name, config in _CREATED.items():
        yield _made(f"create {name}", config)
    for name, config in _REFUSED.items():
        yield _made(f"create {name}", config)
    for name, patch in _PATCHES.items():
        yield script("dense-dot", f"patch {name}", [Ask("PATCH", "/collections/{c}", patch)])
    again = [Ask("PUT", "/collections/{c}", _CREATED["plain"])]
    yield script("dense-dot", "create again", again)
    drop = Ask("DELETE", "/collections/{c}")
    yield script("dense-dot", "drop twice", [drop, drop, Ask("GET", "/collections/{c}/exists")])
    yield script("dense-dot", "drop and create", [drop, Ask("PUT", "/collections/{c}", {})])
    yield get("dense-dot", "exists", "/collections/{c}/exists")
    yield get("dense-dot", "does not exist", "/collections/zz/exists")
    yield get("dense-dot", "unknown", "/collections/zz")
    yield Row("info", "indexed", (Ask("GET", "/collections/{c}", rule=Rule.INFO),))
    for name in ("a b", "ü", "x" * 255, "x" * 256, "a.b", "a%2Fb", "a%3Ab"):
        path = f"/collections/{name}"
        asks = [Ask("PUT", path, {}), Ask("GET", f"{path}/exists"), Ask("DELETE", path)]
        yield Row(f"named {name[:9]}", "empty", tuple(asks))
    for path in _SPELLINGS:
        yield script("dense-dot", f"an index on {path}", list(_indexed(path)))
    yield script("dense-dot", "patch of nothing", [Ask("PATCH", "/collections/zz", {})])


def _indexed(path: str) -> Iterator[Ask]:
    at = "/collections/{c}/index"
    yield Ask("PUT", f"{at}?wait=true", {"field_name": path, "field_schema": "integer"})
    other = '"city"' if path == "city" else path
    yield Ask("DELETE", f"{at}/{quote(other, safe='')}?wait=true")


def _made(name: str, config: Any) -> Row:
    drop = Ask("DELETE", "/collections/{c}")
    return script("empty", name, [drop, Ask("PUT", "/collections/{c}", config)])
