"""Strict mode: the limits that a collection's configuration sets on requests, checked before they are run.

A store calls this where it has the collection's configuration in its hands. What a client asked for beyond what one
call of the port says, its time limit, the size of its batch or the grouping, comes from :func:`asked`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from service.errors import BadRequest
from service.model.operations import (
    ByFilter,
    CreateIndex,
    CreateVector,
    DeleteIndex,
    DeleteVector,
    Operation,
    UpdateVectors,
    Upsert,
)
from service.model.points import SparseVector, Vectors
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    FacetRequest,
    Filter,
    FormulaQuery,
    PointRequest,
    Prefetch,
    QueryGroupsRequest,
    QueryRequest,
    ScrollRequest,
    SearchMatrixRequest,
    SearchParams,
    StrictModeConfig,
)
from service.queries.defaults import GROUP_SIZE, LIMIT, NEIGHBOURS, SAMPLE
from service.queries.lookups import children
from service.queries.strict.filters import check_filter_size, conditions_count, strict_error
from service.queries.strict.indexes import (
    Schema,
    index_type,
    serves_match,
    unindexed_in_filter,
    unindexed_in_formula,
)
from service.queries.strict.rates import Rates
from service.queries.strict.scans import refuse_scan

Composed: TypeAlias = QueryGroupsRequest | SearchMatrixRequest
Read: TypeAlias = (
    QueryRequest | ScrollRequest | CountRequest | FacetRequest | PointRequest | Composed
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for beyond one call of the port; ``timeout`` is in seconds."""

    timeout: int | None = None
    batch: int | None = None
    composed: Composed | None = None


_ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)


@contextmanager
def asked(what: Asked) -> Iterator[None]:
    """Tell the checks inside the block what the client asked for."""
    token = _ASKED.set(what)
    try:
        yield
    finally:
        _ASKED.reset(token)


@dataclass(frozen=True, slots=True)
class StrictMode:
    """The checks, with the rates of one instance."""

    rates: Rates = field(default_factory=Rates)

    def check_read(
        self, collection: str, config: CreateCollection, schema: Schema, request: Read
    ) -> None:
        """Raise ``BadRequest`` or ``RateLimited`` for a read that the collection does not allow."""
        limits = _limits(config)
        if limits is None:
            return
        told = _ASKED.get() or Asked()
        _check_limit(told.timeout, limits.max_timeout, "timeout")
        _check_limit(told.batch, limits.search_max_batchsize, "search batch size")
        _check_read(limits, config, schema, told.composed or request)
        self.rates.take(collection, "Read", limits.read_rate_limit, _cost(request))

    def check_write(
        self, collection: str, config: CreateCollection, schema: Schema, operation: Operation
    ) -> None:
        """Raise ``BadRequest`` or ``RateLimited`` for a change that the collection does not allow."""
        limits = _limits(config)
        if limits is None:
            return
        cost = 1
        match operation:
            case Upsert(points=points):
                _check_limit(len(points), limits.upsert_max_batchsize, "upsert limit")
                _check_vectors(limits, [point.vectors for point in points])
                cost = len(points)
            case UpdateVectors(points=points):
                _check_limit(len(points), limits.upsert_max_batchsize, "update limit")
                _check_vectors(limits, [vectors for _, vectors in points])
                cost = len(points)
            case CreateIndex():
                check_index_count(config, schema)
                return
            case DeleteIndex() | CreateVector() | DeleteVector():
                return
            case _:
                selector = getattr(operation, "selector", None)
                if isinstance(selector, ByFilter):
                    allows = limits.unindexed_filtering_update
                    _check_filter(limits, schema, selector.filter, allows=allows)
        self.rates.take(collection, "Write", limits.write_rate_limit, cost)


def check_index_count(config: CreateCollection, schema: Schema) -> None:
    """Raise ``BadRequest`` for a payload index when there are as many as there may be, even for one of them."""
    limits = _limits(config)
    most = None if limits is None else limits.max_payload_index_count
    if most is not None and len(schema) >= most:
        raise strict_error(
            f"Collection already has the maximum number of payload indices ({most})",
            "Please delete an existing index before creating a new one.",
        )


def check_points_count(config: CreateCollection, points: int) -> None:
    """Raise ``BadRequest`` for an upsert into a collection that holds as many points as it may."""
    limits = _limits(config)
    most = None if limits is None else limits.max_points_count
    if most is not None and points >= most:
        reason = f"Max points count limit of {most} reached!"
        raise BadRequest(reason)


def counts_points(config: CreateCollection) -> bool:
    """Say whether :func:`check_points_count` wants to know the number of points before an upsert."""
    limits = _limits(config)
    return limits is not None and limits.max_points_count is not None


def _limits(config: CreateCollection) -> StrictModeConfig | None:
    limits = config.strict_mode_config
    return limits if limits is not None and limits.enabled else None


def _check_read(
    limits: StrictModeConfig, config: CreateCollection, schema: Schema, request: Read
) -> None:
    match request:
        case QueryRequest() | QueryGroupsRequest():
            _check_query(limits, config, schema, request)
        case SearchMatrixRequest():
            entries = (request.sample or SAMPLE) * (request.limit or NEIGHBOURS)
            _check_limit(entries, limits.max_query_limit, "limit")
            _check_retrieval(limits, schema, request.filter)
        case ScrollRequest() | FacetRequest():
            _check_limit(request.limit or LIMIT, limits.max_query_limit, "limit")
            _check_retrieval(limits, schema, request.filter)
        case CountRequest():
            _check_retrieval(limits, schema, request.filter)
        case PointRequest():
            pass


def _check_query(
    limits: StrictModeConfig,
    config: CreateCollection,
    schema: Schema,
    request: QueryRequest | QueryGroupsRequest | Prefetch,
) -> None:
    """Check a node and all below it; a node that rescores what others found scans nothing."""
    inner = children(request)
    for node in inner:
        _check_query(limits, config, schema, node)
    if not inner or isinstance(request, Prefetch):
        refuse_scan(limits, config, schema, request)
    if isinstance(request.query, FormulaQuery) and limits.unindexed_filtering_retrieve is False:
        _check_formula(schema, request.query)
    size = request.limit or LIMIT
    if isinstance(request, QueryGroupsRequest):
        _check_group_key(limits, schema, request.group_by)
        size *= request.group_size or GROUP_SIZE
    _check_limit(size, limits.max_query_limit, "limit")
    _check_retrieval(limits, schema, request.filter)
    _check_params(limits, request.params)


def _check_formula(schema: Schema, query: FormulaQuery) -> None:
    lacking = unindexed_in_formula(schema, query.formula)
    if lacking is not None:
        raise strict_error(
            _index_required(*lacking),
            "Create an index for this key or use a different formula expression.",
        )


def _check_group_key(limits: StrictModeConfig, schema: Schema, key: str) -> None:
    if limits.unindexed_filtering_retrieve is not False:
        return
    kind = index_type(schema, key)
    if kind is None:
        problem = f'Index required but not found for "{key}"'
    elif serves_match(kind):
        return
    else:
        problem = f'Index of type "{kind.capitalize()}" found for "{key}"'
    raise strict_error(problem, "Create an index supporting `match` for this key.")


def _check_retrieval(limits: StrictModeConfig, schema: Schema, wanted: Filter | None) -> None:
    _check_filter(limits, schema, wanted, allows=limits.unindexed_filtering_retrieve)


def _check_filter(
    limits: StrictModeConfig, schema: Schema, wanted: Filter | None, *, allows: bool | None
) -> None:
    if wanted is None:
        return
    check_filter_size(limits, wanted)
    lacking = unindexed_in_filter(schema, wanted) if allows is False else None
    if lacking is not None:
        raise strict_error(
            _index_required(*lacking), "Create an index for this key or use a different filter."
        )


def _index_required(key: str, kinds: list[str]) -> str:
    types = ", ".join(kinds)
    return f'Index required but not found for "{key}" of one of the following types: [{types}]'


def _check_params(limits: StrictModeConfig, params: SearchParams | None) -> None:
    if params is None:
        return
    oversampling = None if params.quantization is None else params.quantization.oversampling
    _check_limit(oversampling, limits.search_max_oversampling, "oversampling")
    _check_limit(params.hnsw_ef, limits.search_max_hnsw_ef, "hnsw_ef")
    if params.exact and limits.search_allow_exact is False:
        raise strict_error("Exact search disabled!", "Set exact=false.")


def _check_limit(value: float | None, limit: float | None, name: str) -> None:
    if value is not None and limit is not None and value > limit:
        raise strict_error(
            f'Limit exceeded {_number(value)} > {_number(limit)} for "{name}"',
            f'Reduce the "{name}" parameter to or below {_number(limit)}.',
        )


def _number(value: float) -> str:
    """Write a number as Rust does: a float without a fraction like an integer."""
    return str(int(value)) if value == int(value) else str(value)


def _check_vectors(limits: StrictModeConfig, points: list[Vectors]) -> None:
    rows = {name: each.max_vectors for name, each in (limits.multivector_config or {}).items()}
    lengths = {name: each.max_length for name, each in (limits.sparse_config or {}).items()}
    if not rows and not lengths:
        return
    for vectors in points:
        for name, vector in vectors.items():
            if isinstance(vector, SparseVector):
                _check_length(len(vector.indices), lengths.get(name), "Sparse vector", name)
            elif np.ndim(vector) > 1:
                _check_length(len(vector), rows.get(name), "Multivector", name)


def _check_length(length: int, most: int | None, what: str, name: str) -> None:
    if most is not None and length > most:
        parts = "indices" if what.startswith("Sparse") else "vectors"
        reason = f"{what} '{name}' has a limit of {most} {parts}, but {length} were provided!"
        raise BadRequest(reason)


def _cost(request: Read) -> int:
    """Return the tokens that a read takes: one, and one for each condition, example or id."""
    if isinstance(request, PointRequest):
        return len(request.ids)
    cost = 1 if request.filter is None else 1 + conditions_count(request.filter)
    if isinstance(request, QueryRequest):
        cost += sum(_node_cost(node) for node in children(request))
        cost += max(0, _examples(request) - 1)
    return cost


def _node_cost(node: Prefetch) -> int:
    own = 0 if node.filter is None else conditions_count(node.filter)
    inner = children(node)
    return own + (sum(map(_node_cost, inner)) if inner else 1)


def _examples(request: QueryRequest) -> int:
    recommend = getattr(request.query, "recommend", None)
    if recommend is None or recommend.strategy in {None, "average_vector"}:
        return 1
    return len(recommend.positive or ()) + len(recommend.negative or ())
