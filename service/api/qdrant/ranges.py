"""The limits on values that Qdrant checks after it has understood a body.

Numbers of Rust's unsigned types, payload paths and places on earth are a matter of format (400), the other limits of
validation (422); these are in ``rules.py``.
"""

from pydantic import BaseModel

from service.api.qdrant.legacy import (
    DiscoverRequest,
    RecommendGroupsRequest,
    RecommendRequest,
    SearchGroupsRequest,
    SearchRequest,
)
from service.api.qdrant.paths import Path, invalid, malformed
from service.api.qdrant.rules import RULES
from service.api.qdrant.unsigned import BOUNDED, MOST, UNSIGNED, UNSIGNED_OF
from service.model.qdrant import (
    CountRequest,
    FacetRequest,
    PointRequest,
    QueryGroupsRequest,
    QueryRequest,
    ScrollRequest,
    SearchMatrixRequest,
)

_INNER: dict[type[BaseModel], str] = {
    QueryRequest: "internal",
    QueryGroupsRequest: "search_group_request",
    ScrollRequest: "scroll_request",
    PointRequest: "point_request",
    CountRequest: "count_request",
    FacetRequest: "facet_request",
    SearchMatrixRequest: "search_request",
    SearchRequest: "search_request",
    SearchGroupsRequest: "search_group_request",
    RecommendRequest: "recommend_request",
    RecommendGroupsRequest: "recommend_group_request",
    DiscoverRequest: "discover_request",
}
"""Qdrant's name for the part of a request that its checks run on; it stands in the error's path."""

_FREE = frozenset({"payload", "metadata", "defaults"})
"""Fields that hold the user's own JSON."""
_NONE: frozenset[str] = frozenset()


def check_ranges(request: BaseModel, path: Path = ()) -> None:
    """Raise ``InvalidBody`` or ``MalformedBody`` for the first value out of its range.

    A limit or an offset beyond ``MOST`` becomes that: no collection has so many points, and the stores can count to it.
    """
    inner = _INNER.get(type(request))
    _check(request, (*path, inner) if inner else path)


def _check(node: object, path: Path) -> None:
    match node:
        case BaseModel():
            _check_model(node, path)
        case list() if node and not isinstance(node[0], int | float | str):
            for index, item in enumerate(node):
                _check(item, (*path, index))
        case dict():
            for key, item in node.items():
                _check(item, (*path, key))
        case _:
            pass


def _check_model(node: BaseModel, path: Path) -> None:
    values = node.__dict__
    given = node.model_fields_set
    unsigned = UNSIGNED_OF.get(type(node), _NONE)
    for name in given:
        value = values[name]
        if type(value) is int and (name in UNSIGNED or name in unsigned):
            values[name] = _unsigned(node, name, value)
    rule = RULES.get(type(node))
    if rule is not None:
        for field, reason in rule(node):
            raise invalid((*path, field), reason)
    for name in given:
        value = values[name]
        if name not in _FREE and isinstance(value, BaseModel | list | dict):
            _check(value, (*path, name))


def _unsigned(node: BaseModel, name: str, value: int) -> int:
    if name == "offset" and isinstance(node, ScrollRequest):
        return value
    if value < 0:
        raise malformed((name,), f"invalid value: integer `{value}`, expected usize")
    return min(value, MOST) if name in BOUNDED else value
