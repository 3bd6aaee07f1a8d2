"""What Qdrant requires of the values of each kind of object in a body, with its texts.

A rule yields a field and what is wrong with it, which is answered 422; a wrong format it raises, which is 400.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from pydantic import BaseModel

from service.api.qdrant import legacy
from service.api.qdrant.paths import malformed
from service.model.qdrant import (
    CollectionParamsDiff,
    CreateCollection,
    CreateFieldIndex,
    DeletePayload,
    DenseVectorConfig,
    FacetRequest,
    FieldCondition,
    GeoLineString,
    GeoPoint,
    HnswConfigDiff,
    IntegerIndexParams,
    MatchAny,
    MatchExcept,
    MatchValue,
    Mmr,
    Nested,
    OptimizersConfigDiff,
    OrderBy,
    PayloadField,
    Prefetch,
    QuantizationSearchParams,
    QueryGroupsRequest,
    QueryRequest,
    RecommendInput,
    Rrf,
    ScalarQuantizationConfig,
    ScrollRequest,
    SearchMatrixRequest,
    SetPayload,
    Slice,
    SparseVector,
    StrictModeConfig,
    VectorParams,
    WalConfigDiff,
)
from service.translate.paths import parse_path

Complaints: TypeAlias = Iterator[tuple[str, str]]
Rule: TypeAlias = Callable[[Any], Complaints]

MAX_VECTOR_SIZE = 65_536
MAX_CANDIDATES = 16_384
MAX_INDEX = 2**32 - 1
_MOST_SLICES = 2**32 - 1
_SHORTEST_RING = 4
_MOST_LATITUDE, _MOST_LONGITUDE = 90, 180


def _within(
    field: str, value: float | None, least: float | None, most: float | None = None
) -> Complaints:
    if value is None:
        return
    if (least is not None and value < least) or (most is not None and value > most):
        if most is None:
            expected = f"must be {least} or larger"
        elif least is None:
            expected = f"must be {most} or smaller"
        else:
            expected = f"must be from {least} to {most}"
        yield field, f"value {value} invalid, {expected}"


def _at_least(minimum: int, *fields: str, inside: str = "") -> Rule:
    def rule(node: BaseModel) -> Complaints:
        for field in fields:
            yield from _within(f"{inside}{field}", getattr(node, field), minimum)

    return rule


def _both(*rules: Rule) -> Rule:
    return lambda node: chain.from_iterable(rule(node) for rule in rules)


def _path(*fields: str) -> Rule:
    """Require payload paths that can be read. Raises ``MalformedBody``."""

    def rule(node: BaseModel) -> Complaints:
        for field in fields:
            value = getattr(node, field)
            for text in value if isinstance(value, list) else [value]:
                if text is not None:
                    parse_path(text)
        yield from ()

    return rule


def _vector_size(node: VectorParams | DenseVectorConfig) -> Complaints:
    return _within("size", node.size, 1, MAX_VECTOR_SIZE)


def _mmr(node: Mmr) -> Complaints:
    yield from _within("diversity", node.diversity, 0.0, 1.0)
    yield from _within("candidates_limit", node.candidates_limit, None, MAX_CANDIDATES)


def _matrix(node: SearchMatrixRequest) -> Complaints:
    yield from _within("sample", node.sample, 2)
    yield from _within("limit", node.limit, 1)


def _whole_number(*fields: str) -> Rule:
    """Require integers of 64 bits with a sign. Raises ``MalformedBody``."""

    def rule(node: BaseModel) -> Complaints:
        for field in fields:
            value = getattr(node, field)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, int) and not -(2**63) <= each < 2**63:
                    raise malformed((field,), f"invalid value: integer `{each}`, expected i64")
        yield from ()

    return rule


def _some_condition(node: FieldCondition) -> Complaints:
    if all(getattr(node, name) is None for name in node.model_fields_set - {"key"}):
        yield "match", "At least one field condition must be specified"


def _some_example(node: RecommendInput) -> Complaints:
    if not node.positive and not node.negative:
        reason = "At least one positive or negative vector/id must be provided"
        yield "positives, negatives", reason


def _sparse(node: SparseVector) -> Complaints:
    wrong = next((index for index in node.indices if not 0 <= index <= MAX_INDEX), None)
    if wrong is not None:
        raise malformed(("indices",), f"invalid value: integer `{wrong}`, expected u32")
    if len(node.indices) != len(node.values):
        yield "values", "must be the same length as indices"
    if len(set(node.indices)) != len(node.indices):
        yield "indices", "must be unique"


def _place(node: GeoPoint) -> Complaints:
    if abs(node.lat) > _MOST_LATITUDE or abs(node.lon) > _MOST_LONGITUDE:
        reason = (
            f"Wrong format of GeoPoint payload: expected `lat` = {node.lat:g} within [-90;90] "
            f"and `lon` = {node.lon:g} within [-180;180]"
        )
        raise malformed((), reason)
    yield from ()


def _ring(node: GeoLineString) -> Complaints:
    points = node.points
    if len(points) < _SHORTEST_RING:
        reason = f"polygon invalid, the size must be at least {_SHORTEST_RING}, got {len(points)}"
        raise malformed((), reason)
    if points[0] != points[-1]:
        reason = "polygon invalid, the first and the last points should be the same to form a closed line"
        raise malformed((), reason)
    yield from ()


def _slice(node: Slice) -> Complaints:
    for number in (node.total, node.index):
        if number > _MOST_SLICES:
            raise malformed((), f"invalid value: integer `{number}`, expected u32")
    yield from _within("total", node.total, 1)
    if node.index >= node.total:
        yield "index", f"value {node.index} invalid, must be less than total ({node.total})"


def _optimizers(node: OptimizersConfigDiff) -> Complaints:
    yield from _within("deleted_threshold", node.deleted_threshold, 0.0, 1.0)
    yield from _within("vacuum_min_vector_number", node.vacuum_min_vector_number, 100)
    yield from _within("max_segment_size", node.max_segment_size, 1)


def _integer_index(node: IntegerIndexParams) -> Complaints:
    if node.lookup is False and node.range is False:
        yield "lookup", "the 'lookup' and 'range' capabilities can't be both disabled"


def _oversampling(node: QuantizationSearchParams) -> Complaints:
    return _within("oversampling", node.oversampling, 1.0)


def _quantile(node: ScalarQuantizationConfig) -> Complaints:
    return _within("quantile", node.quantile, 0.5, 1.0)


_PAGE = _at_least(1, "limit")
_OLD_PAGE = _at_least(1, "limit", "top")
_GROUPS = _both(_at_least(1, "group_size", "limit", inside="group_request."), _path("group_by"))

RULES: dict[type[BaseModel], Rule] = {
    QueryRequest: _PAGE,
    Prefetch: _PAGE,
    ScrollRequest: _PAGE,
    FacetRequest: _both(_PAGE, _path("key")),
    SearchMatrixRequest: _matrix,
    QueryGroupsRequest: _GROUPS,
    legacy.SearchRequest: _OLD_PAGE,
    legacy.RecommendRequest: _OLD_PAGE,
    legacy.DiscoverRequest: _OLD_PAGE,
    legacy.SearchGroupsRequest: _GROUPS,
    legacy.RecommendGroupsRequest: _GROUPS,
    CreateCollection: _at_least(
        1, "shard_number", "replication_factor", "write_consistency_factor"
    ),
    CollectionParamsDiff: _at_least(1, "replication_factor", "write_consistency_factor"),
    StrictModeConfig: _at_least(
        1,
        *("max_query_limit", "max_timeout", "read_rate_limit", "write_rate_limit"),
        "max_points_count",
    ),
    HnswConfigDiff: _at_least(4, "ef_construct"),
    OptimizersConfigDiff: _optimizers,
    WalConfigDiff: _at_least(1, "wal_capacity_mb"),
    ScalarQuantizationConfig: _quantile,
    QuantizationSearchParams: _oversampling,
    VectorParams: _vector_size,
    DenseVectorConfig: _vector_size,
    IntegerIndexParams: _integer_index,
    MatchValue: _whole_number("value"),
    MatchAny: _whole_number("any"),
    MatchExcept: _whole_number("except_"),
    Mmr: _mmr,
    Rrf: _at_least(1, "k"),
    Slice: _slice,
    FieldCondition: _both(_path("key"), _some_condition),
    Nested: _path("key"),
    PayloadField: _path("key"),
    OrderBy: _path("key"),
    SetPayload: _path("key"),
    DeletePayload: _path("keys"),
    CreateFieldIndex: _path("field_name"),
    RecommendInput: _some_example,
    SparseVector: _sparse,
    GeoPoint: _place,
    GeoLineString: _ring,
}
