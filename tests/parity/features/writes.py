"""Each kind of write, alone and in sequence; the whole collection is compared after every one."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Ask, Row, script
from tests.parity.data import vectors

_NEW = vectors(200, 4)
_ODD = {"must": [{"key": "flag", "match": {"value": True}}]}
_NONE: dict[str, Any] = {"must": [{"has_id": []}]}
_UUID = "00001111-2222-3333-4444-55556666ffff"


def rows() -> Iterator[Row]:
    """Upserts, deletions, vectors, payloads, batches, indexes."""
    yield from _upserts()
    yield from _deletions()
    yield from _vectors()
    yield from _payloads()
    yield from _nulls()
    yield from _batches()
    yield from _indexes()
    yield from _refused()


def _put(body: Any, path: str = "points") -> Ask:
    return Ask("PUT", f"/collections/{{c}}/{path}?wait=true", body)


def _post(path: str, body: Any) -> Ask:
    return Ask("POST", f"/collections/{{c}}/points/{path}?wait=true", body)


def _point(known: Any, at: int, **payload: Any) -> dict[str, Any]:
    return {"id": known, "vector": _NEW[at], "payload": payload}


def _upserts() -> Iterator[Row]:
    new = _put({"points": [_point(500, 0, a=1), _point(_UUID, 1), _point(1, 2, b=2)]})
    yield script("small", "upsert new and old", [new, new])
    twice = _put({"points": [_point(500, 0, a=1), _point(500, 1, b=2)]})
    yield script("small", "upsert one twice", [twice])
    columns = {
        "batch": {
            "ids": [500, 1],
            "vectors": _NEW[:2],
            "payloads": [{"a": [1, {"x": None}]}, None],
        }
    }
    yield script("small", "upsert columns", [_put(columns)])
    for mode in ("upsert", "insert_only", "update_only"):
        body = {"points": [_point(500, 0, a=1), _point(1, 1, a=2)], "update_mode": mode}
        yield script("small", f"upsert, {mode}", [_put(body)])
    where: dict[str, Any] = {
        "points": [_point(500, 0, a=1), _point(1, 1, a=2), _point(6, 1, a=3)],
        "update_filter": _ODD,
    }
    yield script(
        "small", "upsert where", [_put(where), _put({**where, "update_mode": "update_only"})]
    )
    some: list[Any] = [
        {"id": 1, "vector": {"a": [1, 2, 3, 4]}, "payload": {"x": 1}},
        {"id": 2, "vector": {}},
        {"id": 700, "vector": {"s": {"indices": [9, 1], "values": [0, 2]}, "m": [[1, 2], [3, 4]]}},
    ]
    yield script("named", "upsert some vectors", [_put({"points": some})])
    large = {"big": 2**64, "deep": {"x": {"y": [[[]]]}}, "ü": "☃", "": 1, "f": 1e-7, "whole": 3.0}
    yield script("small", "upsert odd payloads", [_put({"points": [_point(500, 0, **large)]})])
    yield script(
        "small",
        "upsert a null payload",
        [_put({"points": [{**_point(9, 0), "payload": None}]})],
    )
    yield script("small", "upsert zeros", [_put({"points": [{"id": 9, "vector": [0] * 8}]})])


def _deletions() -> Iterator[Row]:
    yield script("small", "delete ids", [_post("delete", {"points": [1, 999, _UUID]})] * 2)
    yield script("small", "delete by filter", [_post("delete", {"filter": _ODD})])
    yield script("small", "delete nothing", [_post("delete", {"filter": _NONE})])
    yield script("small", "delete all", [_post("delete", {"filter": {}})])


def _vectors() -> Iterator[Row]:
    new = {
        "points": [{"id": 2, "vector": {"a": [1, 0, 0, 1]}}, {"id": 1, "vector": {"b": [1, 2, 3]}}]
    }
    yield script("named", "update vectors", [_put(new, "points/vectors")])
    where = {**new, "update_filter": _ODD}
    yield script("named", "update vectors where", [_put(where, "points/vectors")])
    plain = {"points": [{"id": 2, "vector": _NEW[0]}, {"id": 2, "vector": _NEW[1]}]}
    yield script("small", "update the unnamed one twice", [_put(plain, "points/vectors")])
    drop = {"vector": ["a", "s"], "points": [2, 6, 10]}
    yield script("named", "delete vectors", [_post("vectors/delete", drop)] * 2)
    where = {"vector": ["m"], "filter": _ODD}
    yield script("named", "delete vectors where", [_post("vectors/delete", where)])
    unnamed = {"vector": [""], "points": [2]}
    yield script("small", "delete the unnamed one", [_post("vectors/delete", unnamed)])


_PAYLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "set": ("payload", {"payload": {"n": 5, "deep": {"z": 1}, "new": None}}),
    "set and remove": ("payload", {"payload": {"n": None, "city": None, "x": {"y": None}}}),
    "set at a key": ("payload", {"payload": {"z": None, "q": [1]}, "key": "deep"}),
    "set at a path": ("payload", {"payload": {"z": 1}, "key": "deep.a.c"}),
    "set in an array": ("payload", {"payload": {"x": 100}, "key": "deep.list[0]"}),
    "set in all": ("payload", {"payload": {"x": 100}, "key": "deep.list[]"}),
    "set beyond an array": ("payload", {"payload": {"x": 100}, "key": "deep.list[7]"}),
    "set in a scalar": ("payload", {"payload": {"x": 1}, "key": "n"}),
    "set in an array of scalars": ("payload", {"payload": {"x": 1}, "key": "several[1]"}),
    "delete keys": ("payload/delete", {"keys": ["n", "deep.a.b", "nowhere", "deep.list[].x"]}),
    "delete an element": ("payload/delete", {"keys": ["deep.list[0]", "tags[0]", "several[]"]}),
    "clear": ("payload/clear", {}),
}


def _payloads() -> Iterator[Row]:
    for name, (path, body) in _PAYLOADS.items():
        ids = {"points": [1, 2, 5]}
        yield script("small", name, [_post(path, {**body, **ids})])
        yield script("small", f"{name} where", [_post(path, {**body, "filter": _ODD})])
    for key in (None, "deep", "deep.list[0]", "nowhere.at.all"):
        body = {"payload": {"o": None, "p": 1}, "points": [1, 2]}
        wanted = body if key is None else {**body, "key": key}
        yield script("small", f"overwrite at {key}", [_put(wanted, "points/payload")])
    where = {"payload": {"p": 1}, "filter": _ODD}
    yield script("small", "overwrite where", [_put(where, "points/payload")])
    yield script("small", "clear a list", [_post("payload/clear", {"points": [1, 2]})])


def _nulls() -> Iterator[Row]:
    bare = _put({"points": [{"id": 500, "vector": _NEW[0]}]})
    null = {"payload": {"a": None, "b": 1}, "points": [500]}
    yield script("small", "a null into nothing", [bare, _post("payload", null)])
    empty = _put({"points": [_point(500, 0)]})
    yield script("small", "a null into an empty payload", [empty, _post("payload", null)])
    cleared = [empty, _post("payload/clear", {"points": [500]}), _post("payload", null)]
    gap = "a null that is merged into a payload that was cleared removes its key, Qdrant keeps it"
    yield script("small", "a null into a cleared payload", cleared, gap=gap)


def _batches() -> Iterator[Row]:
    operations = [
        {"upsert": {"points": [_point(500, 0, a=1)]}},
        {"set_payload": {"payload": {"b": 2}, "points": [500]}},
        {"overwrite_payload": {"payload": {"c": 3}, "points": [1]}},
        {"delete_payload": {"keys": ["n"], "points": [2]}},
        {"clear_payload": {"points": [10]}},
        {"update_vectors": {"points": [{"id": 5, "vector": _NEW[1]}]}},
        {"delete_vectors": {"vector": [""], "points": [6]}},
        {"delete": {"points": [9]}},
    ]
    yield script("small", "batch of all", [_post("batch", {"operations": operations})])
    failing = [*operations[:2], {"set_payload": {"payload": {}, "points": [99_999]}}, operations[7]]
    yield script("small", "batch that fails", [_post("batch", {"operations": failing})])
    yield script("small", "empty batch", [_post("batch", {"operations": []})])


def _indexes() -> Iterator[Row]:
    for schema in (
        *("keyword", "integer", "float", "bool", "uuid", "datetime", "geo", "text"),
        {"type": "keyword", "is_tenant": True},
        {"type": "integer", "lookup": True, "range": False},
        {"type": "text", "tokenizer": "prefix", "min_token_len": 2, "lowercase": True},
    ):
        make = _put({"field_name": "n", "field_schema": schema}, "index")
        drop = Ask("DELETE", "/collections/{c}/index/n?wait=true")
        yield script("small", f"index {schema}", [make, make, drop, drop])
    change = [
        _put({"field_name": "n", "field_schema": kind}, "index") for kind in ("integer", "keyword")
    ]
    yield script("small", "another index", change)
    late = [
        _put({"field_name": "deep.a.b", "field_schema": "integer"}, "index"),
        _put({"points": []}),
    ]
    yield script("small", "index of a path", late)


def _refused() -> Iterator[Row]:
    cases: dict[str, Ask] = {
        "no points": _put({"points": []}),
        "a wrong dimension": _put({"points": [_point(500, 0), {"id": 501, "vector": [1.0]}]}),
        "an unknown name": _put({"points": [{"id": 501, "vector": {"zz": [1.0]}}]}),
        "a sparse vector": _put(
            {"points": [{"id": 1, "vector": {"": {"indices": [1], "values": [1]}}}]}
        ),
        "a multivector": _put({"points": [{"id": 1, "vector": [[1.0] * 8, [1.0] * 8]}]}),
        "vectors of unknown points": _put(
            {"points": [{"id": 999, "vector": _NEW[0]}]}, "points/vectors"
        ),
        "unknown vectors": _post("vectors/delete", {"vector": ["zz"], "points": [1]}),
        "no selector": _post("payload/clear", {}),
        "payload of an unknown point": _post("payload", {"payload": {"a": 1}, "points": [999]}),
        "a clear of an unknown point": _post("payload/clear", {"points": [999]}),
        "a key that is no path": _post("payload", {"payload": {}, "points": [1], "key": "a..b"}),
        "a bad id": _put({"points": [{"id": "abc", "vector": _NEW[0]}]}),
        "a missing vector": _put({"points": [{"id": 1}]}),
        "an unknown index type": _put({"field_name": "n", "field_schema": "number"}, "index"),
    }
    for name, ask in cases.items():
        yield script("small", name, [ask])
    wrong = {"a": [1.0], "b": [1.0, 2.0, 3.0]}
    yield script(
        "named", "a wrong dimension by name", [_put({"points": [{"id": 1, "vector": wrong}]})]
    )
    unequal = {"s": {"indices": [1, 2], "values": [1.0]}}
    yield script(
        "named", "sparse of two lengths", [_put({"points": [{"id": 1, "vector": unequal}]})]
    )
    double = {"s": {"indices": [1, 1], "values": [1.0, 2.0]}}
    yield script(
        "named", "sparse with an index twice", [_put({"points": [{"id": 1, "vector": double}]})]
    )
    for name, rows_ in {"empty": [], "of empty rows": [[]], "uneven": [[1, 2], [3]]}.items():
        body = {"points": [{"id": 1, "vector": {"m": rows_}}]}
        yield script("named", f"a multivector, {name}", [_put(body)])
    yield script(
        "named", "one row as a vector", [_put({"points": [{"id": 1, "vector": {"m": [1, 2]}}]})]
    )
