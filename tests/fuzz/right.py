"""Bodies that are right for a collection of the world, one maker for each operation on points."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.fuzz.queries import (
    PAYLOAD_SELECTORS,
    dense,
    example,
    names,
    order_by,
    pairs,
    query,
    recommendation,
    right_filter,
    vector,
)
from tests.fuzz.world import IDS, INDEXES, PLAIN

_FACETED = ("k", "n")
_GROUPED = ("k", "n", "s", "a[].n", "missing")


def right_body(operation: str, collection: str, dice: Random) -> Any:
    """Return a body that Qdrant takes, ``None`` for an operation that needs none of the world."""
    make = _MAKERS.get(operation)
    return None if make is None else make(dice, collection)


def _query(dice: Random, collection: str) -> dict[str, Any]:
    return {**query(dice, collection), **_options(dice, collection)}


def _options(dice: Random, collection: str) -> dict[str, Any]:
    options = {
        "offset": dice.randrange(4),
        "with_payload": dice.choice(PAYLOAD_SELECTORS),
        "with_vector": _vector_selector(dice, collection),
    }
    return {name: value for name, value in options.items() if dice.random() < 0.3}


def _vector_selector(dice: Random, collection: str) -> Any:
    some = [] if collection == PLAIN else dice.sample(names(collection), 2)
    return dice.choice((True, False, some))


def _grouping(dice: Random, _collection: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "group_by": dice.choice(_GROUPED),
        "group_size": dice.randint(1, 3),
        "limit": dice.randint(1, 4),
    }
    if dice.random() < 0.3:
        lookup = {"collection": PLAIN, "with_payload": dice.choice(PAYLOAD_SELECTORS)}
        made["with_lookup"] = dice.choice((PLAIN, lookup))
    return made


def _query_groups(dice: Random, collection: str) -> dict[str, Any]:
    node = query(dice, collection, 1)
    # Qdrant groups no points that have an order of their own.
    while node.get("query", {"order_by": None}) in _UNRANKED or _is_ordered(node):
        node = query(dice, collection, 1)
    return {**node, **_grouping(dice, collection)}


_UNRANKED = ({"order_by": None}, {"sample": "random"})


def _is_ordered(node: dict[str, Any]) -> bool:
    return isinstance(node["query"], dict) and "order_by" in node["query"]


def _older(dice: Random, collection: str) -> tuple[str, dict[str, Any]]:
    """Return a vector's name and what all older searches have in common."""
    made: dict[str, Any] = {}
    if dice.random() < 0.4:
        made["filter"] = right_filter(dice, collection)
    if dice.random() < 0.3:
        made["with_payload"] = dice.choice(PAYLOAD_SELECTORS)
    if dice.random() < 0.2:
        made["score_threshold"] = round(dice.uniform(-1, 1), 2)
    return dice.choice(names(collection)), made


def _search(dice: Random, collection: str) -> dict[str, Any]:
    using, made = _older(dice, collection)
    using = dice.choice("ahs") if using == "m" else using
    sought = vector(using, dice)
    return {**made, "vector": {"name": using, "vector": sought} if using else dense(dice)}


def _recommend(dice: Random, collection: str) -> dict[str, Any]:
    using, made = _older(dice, collection)
    using = "a" if using == "m" else using
    return {**made, **recommendation(dice, using), **({"using": using} if using else {})}


def _discover(dice: Random, collection: str) -> dict[str, Any]:
    using, made = _older(dice, collection)
    using = "a" if using == "m" else using
    made.pop("score_threshold", None)
    wanted: dict[str, Any] = {"target": example(dice, using)} if dice.random() < 0.7 else {}
    if not wanted or dice.random() < 0.5:
        wanted["context"] = pairs(dice, using)
    return {**made, **wanted, **({"using": using} if using else {})}


Make = Callable[[Random, str], dict[str, Any]]


def _limited(make: Make) -> Make:
    return lambda dice, collection: {
        **make(dice, collection),
        dice.choice(("limit", "limit", "top")): dice.choice((1, 3, 10)),
    }


def _grouped(make: Make) -> Make:
    return lambda dice, collection: {**make(dice, collection), **_grouping(dice, collection)}


def _batched(make: Make) -> Make:
    return lambda dice, collection: {
        "searches": [make(dice, collection) for _ in range(dice.randint(1, 3))]
    }


def _scroll(dice: Random, collection: str) -> dict[str, Any]:
    made = {**_options(dice, collection), "limit": dice.choice((1, 3, 10))}
    made.pop("offset", None)
    if dice.random() < 0.5:
        made["filter"] = right_filter(dice, collection)
    if dice.random() < 0.4:
        made["order_by"] = order_by(dice)
    elif dice.random() < 0.4:
        made["offset"] = dice.choice(IDS)
    return made


def _count(dice: Random, collection: str) -> dict[str, Any]:
    return {"filter": right_filter(dice, collection), "exact": dice.random() < 0.7}


def _facet(dice: Random, collection: str) -> dict[str, Any]:
    made: dict[str, Any] = {"key": dice.choice(_FACETED), "limit": dice.choice((1, 10))}
    if dice.random() < 0.5:
        made["filter"] = right_filter(dice, collection)
    return {**made, "exact": dice.random() < 0.5}


def _matrix(dice: Random, collection: str) -> dict[str, Any]:
    made: dict[str, Any] = {"sample": dice.choice((2, 5)), "limit": dice.choice((1, 3))}
    using = dice.choice(names(collection))
    if using:
        made["using"] = using
    if dice.random() < 0.4:
        made["filter"] = right_filter(dice, collection)
    return made


def _get(dice: Random, collection: str) -> dict[str, Any]:
    options = _options(dice, collection)
    options.pop("offset", None)
    return {**options, "ids": dice.sample(IDS, dice.randrange(4))}


def _vectors(dice: Random, collection: str) -> Any:
    if collection == PLAIN:
        return dense(dice)
    some = dice.sample(names(collection), dice.randint(1, 4))
    return {name: vector(name, dice) for name in some}


def _payload(dice: Random) -> dict[str, Any]:
    made = {"k": "green", "n": dice.randrange(9), "new": [None, {"a": 1.5}], "g": {}, "x": "fox"}
    return {name: value for name, value in made.items() if dice.random() < 0.6}


def _upsert(dice: Random, collection: str) -> dict[str, Any]:
    ids = dice.sample([*IDS, 7, 8], dice.randint(1, 3))
    vectors = [_vectors(dice, collection) for _ in ids]
    if collection == PLAIN and dice.random() < 0.3:
        payloads = [_payload(dice) for _ in ids]
        return {"batch": {"ids": ids, "vectors": vectors, "payloads": payloads}}
    return {
        "points": [
            {"id": known, "vector": each, "payload": dice.choice((None, _payload(dice)))}
            for known, each in zip(ids, vectors, strict=True)
        ]
    }


def _update_vectors(dice: Random, collection: str) -> dict[str, Any]:
    chosen = dice.sample(IDS, 2)
    return {"points": [{"id": known, "vector": _vectors(dice, collection)} for known in chosen]}


def _selected(dice: Random, collection: str) -> dict[str, Any]:
    if dice.random() < 0.3:
        return {"filter": right_filter(dice, collection)}
    return {"points": dice.sample(IDS, 2)}


def _delete_vectors(dice: Random, collection: str) -> dict[str, Any]:
    some = dice.sample(names(collection), 1)
    return {**_selected(dice, collection), "vector": some}


def _set_payload(dice: Random, collection: str) -> dict[str, Any]:
    made = {**_selected(dice, collection), "payload": _payload(dice)}
    if dice.random() < 0.3:
        made["key"] = dice.choice(("a", "l[0]", "new.b", "k"))
    return made


def _overwrite_payload(dice: Random, collection: str) -> dict[str, Any]:
    return {**_selected(dice, collection), "payload": _payload(dice)}


def _delete_payload(dice: Random, collection: str) -> dict[str, Any]:
    keys = dice.sample(("k", "n", "a[].n", "b.a", "new", "missing"), dice.randint(1, 2))
    return {**_selected(dice, collection), "keys": keys}


def _index(dice: Random, _collection: str) -> dict[str, Any]:
    name, schema = dice.choice([*INDEXES.items(), ("s", "keyword"), ("a[].n", "integer")])
    return {"field_name": name, "field_schema": schema}


_WRITES: Mapping[str, Make] = {
    "upsert": _upsert,
    "delete": _selected,
    "update_vectors": _update_vectors,
    "delete_vectors": _delete_vectors,
    "set_payload": _set_payload,
    "overwrite_payload": _overwrite_payload,
    "delete_payload": _delete_payload,
    "clear_payload": _selected,
}


def _batch(dice: Random, collection: str) -> dict[str, Any]:
    kinds = dice.sample([kind for kind in _WRITES if kind != "delete"], dice.randint(1, 3))
    return {"operations": [{kind: _WRITES[kind](dice, collection)} for kind in kinds]}


READS: Mapping[str, Make] = {
    "query_points": _query,
    "query_batch_points": _batched(_query),
    "query_points_groups": _query_groups,
    "search_points": _limited(_search),
    "search_batch_points": _batched(_limited(_search)),
    "search_point_groups": _grouped(_search),
    "recommend_points": _limited(_recommend),
    "recommend_batch_points": _batched(_limited(_recommend)),
    "recommend_point_groups": _grouped(_recommend),
    "discover_points": _limited(_discover),
    "discover_batch_points": _batched(_limited(_discover)),
    "scroll_points": _scroll,
    "count_points": _count,
    "facet": _facet,
    "search_matrix_pairs": _matrix,
    "search_matrix_offsets": _matrix,
    "get_points": _get,
}
"""Reads of points, by Qdrant's names of the operations."""
WRITES: Mapping[str, Make] = {
    "upsert_points": _upsert,
    "delete_points": _selected,
    "update_vectors": _update_vectors,
    "delete_vectors": _delete_vectors,
    "set_payload": _set_payload,
    "overwrite_payload": _overwrite_payload,
    "delete_payload": _delete_payload,
    "clear_payload": _selected,
    "batch_update": _batch,
    "create_field_index": _index,
}
"""Changes of points and of their indexes."""
_MAKERS = {**READS, **WRITES}
