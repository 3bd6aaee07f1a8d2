"""The limits on values that Qdrant checks after it has understood a body, with its texts.

Fields of Rust's unsigned types are a matter of format (400), everything else of validation (422).
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel

from service.api.qdrant.legacy import SearchRequest
from service.api.qdrant.paths import Path, invalid, malformed
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    FieldCondition,
    HnswConfigDiff,
    Mmr,
    PointRequest,
    Prefetch,
    QueryRequest,
    RecommendInput,
    ScrollRequest,
    SparseVector,
    VectorParams,
)

Complaints: TypeAlias = Iterator[tuple[str, str]]

_INNER: dict[type[BaseModel], str] = {
    QueryRequest: "internal",
    ScrollRequest: "scroll_request",
    PointRequest: "point_request",
    CountRequest: "count_request",
    SearchRequest: "search_request",
}
"""Qdrant's name for the part of a request that its checks run on; it stands in the error's path."""

_UNSIGNED = frozenset(
    {
        "candidates_limit",
        "ef_construct",
        "hnsw_ef",
        "limit",
        "m",
        "min_count",
        "replication_factor",
        "shard_number",
        "size",
        "top",
        "write_consistency_factor",
    }
)
MAX_VECTOR_SIZE = 65_536


def check_ranges(request: BaseModel, path: Path = ()) -> None:
    """Raise ``InvalidBody`` or ``MalformedBody`` for the first value out of its range."""
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
    for name in node.model_fields_set:
        value = getattr(node, name)
        if isinstance(value, int) and value < 0 and _is_unsigned(node, name):
            raise malformed((name,), f"invalid value: integer `{value}`, expected usize")
    for model, rule in _RULES.items():
        if isinstance(node, model):
            for field, reason in rule(node):
                raise invalid((*path, field), reason)
    for name in node.model_fields_set:
        if name not in _FREE:
            _check(getattr(node, name), (*path, name))


_FREE = frozenset({"payload", "metadata", "defaults"})
"""Fields that hold the user's own JSON."""


def _is_unsigned(node: BaseModel, name: str) -> bool:
    return name in _UNSIGNED or (name == "offset" and not isinstance(node, ScrollRequest))


def _at_least(minimum: int, *fields: str) -> Callable[[Any], Complaints]:
    def rule(node: BaseModel) -> Complaints:
        for field in fields:
            value = getattr(node, field)
            if value is not None and value < minimum:
                yield field, f"value {value} invalid, must be {minimum} or larger"

    return rule


def _vector_size(node: VectorParams) -> Complaints:
    if not 1 <= node.size <= MAX_VECTOR_SIZE:
        yield "size", f"value {node.size} invalid, must be from 1 to {MAX_VECTOR_SIZE}"


def _diversity(node: Mmr) -> Complaints:
    if node.diversity is not None and not 0 <= node.diversity <= 1:
        yield "diversity", f"value {node.diversity} invalid, must be from 0.0 to 1.0"


def _some_condition(node: FieldCondition) -> Complaints:
    if all(getattr(node, name) is None for name in node.model_fields_set - {"key"}):
        yield "match", "At least one field condition must be specified"


def _some_example(node: RecommendInput) -> Complaints:
    if not node.positive and not node.negative:
        reason = "At least one positive or negative vector/id must be provided"
        yield "positives, negatives", reason


def _sparse(node: SparseVector) -> Complaints:
    if len(node.indices) != len(node.values):
        yield "values", "must be the same length as indices"
    if len(set(node.indices)) != len(node.indices):
        yield "indices", "must be unique"


_RULES: dict[type[BaseModel], Callable[[Any], Complaints]] = {
    QueryRequest: _at_least(1, "limit"),
    Prefetch: _at_least(1, "limit"),
    ScrollRequest: _at_least(1, "limit"),
    SearchRequest: _at_least(1, "limit", "top"),
    CreateCollection: _at_least(
        1, "shard_number", "replication_factor", "write_consistency_factor"
    ),
    HnswConfigDiff: _at_least(4, "ef_construct"),
    VectorParams: _vector_size,
    Mmr: _diversity,
    FieldCondition: _some_condition,
    RecommendInput: _some_example,
    SparseVector: _sparse,
}
