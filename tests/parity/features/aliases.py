"""Aliases. The engine has none: the oracle's are ours, after Qdrant's source."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Ask, Row, script

_LISTS = (Ask("GET", "/aliases"), Ask("GET", "/collections/{c}/aliases"))


def rows() -> Iterator[Row]:
    """Lists of actions, and every endpoint through an alias."""
    make, other = _create("one"), _create("two")
    cases: dict[str, list[Ask]] = {
        "create": [_change(make)],
        "create twice": [_change(make), _change(make)],
        "two in one list": [_change(make, other)],
        "delete": [_change(make), _change(_delete("one"))],
        "delete an unknown one": [_change(_delete("zz"))],
        "rename": [_change(make), _change(_rename("one", "three"))],
        "rename an unknown one": [_change(_rename("zz", "three"))],
        "move": [_change(make), _change(_delete("one"), _create("one", "plain"))],
        "for an unknown collection": [_change(_create("one", "zz"))],
        "named like a collection": [_change(_create("plain"))],
        "for an alias": [_change(make), _change(_create("two", "one"))],
        "nothing": [_change()],
        "a collection named like it": [_change(make), Ask("PUT", "/collections/one", {})],
        "a drop of the alias": [_change(make), Ask("DELETE", "/collections/one")],
        "a drop of the collection": [_change(make), Ask("DELETE", "/collections/{c}")],
        "an unknown action": [_change({"make_alias": {}})],
    }
    for name, asks in cases.items():
        ends = [
            *_LISTS,
            Ask("GET", "/collections/one/exists"),
            _change(_delete("one"), _delete("two")),
        ]
        yield script("dense-dot", name, [*asks, *ends, _change(_delete("three"))], unproven=True)
    yield script("dense-dot", "everything through it", list(_through()), unproven=True)


def _through() -> Iterator[Ask]:
    yield _change(_create("one"))
    at = "/collections/one"
    yield Ask("GET", f"{at}/aliases")
    yield Ask("PUT", f"{at}/points?wait=true", {"points": [{"id": 1, "vector": [1] * 8}]})
    yield Ask("POST", f"{at}/points/query", {"query": 1})
    yield Ask("POST", f"{at}/points/scroll", {"limit": 3})
    yield Ask("POST", f"{at}/points/count", {})
    yield Ask("POST", f"{at}/points", {"ids": [1]})
    yield Ask("GET", f"{at}/points/1")
    yield Ask("PUT", f"{at}/index?wait=true", {"field_name": "city", "field_schema": "keyword"})
    yield Ask("POST", f"{at}/facet", {"key": "city"})
    yield Ask("PATCH", at, {"metadata": {"a": 1}})
    yield Ask("PUT", f"{at}/vectors/new", {"dense": {"size": 2, "distance": "Dot"}})
    yield Ask("POST", f"{at}/points/delete?wait=true", {"points": [1]})
    yield Ask(
        "POST",
        "/collections/plain/points/query",
        {"query": 2, "lookup_from": {"collection": "one"}},
    )
    yield _change(_delete("one"))


def _create(alias: str, collection: str = "{c}") -> dict[str, Any]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}


def _delete(alias: str) -> dict[str, Any]:
    return {"delete_alias": {"alias_name": alias}}


def _rename(old: str, new: str) -> dict[str, Any]:
    return {"rename_alias": {"old_alias_name": old, "new_alias_name": new}}


def _change(*actions: dict[str, Any]) -> Ask:
    return Ask("POST", "/collections/aliases", {"actions": list(actions)})
