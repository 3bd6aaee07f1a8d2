"""Strict mode's refusal of searches that no vector index serves, where exact search is not allowed."""

from service.model.points import UNNAMED
from service.model.qdrant import (
    CreateCollection,
    Filter,
    FormulaQuery,
    FusionQuery,
    OrderByQuery,
    Prefetch,
    QueryGroupsRequest,
    QueryRequest,
    RrfQuery,
    SampleQuery,
    StrictModeConfig,
    VectorParams,
)
from service.queries.strict.filters import strict_error
from service.queries.strict.indexes import Schema, conditions_of

_DEFAULT_LINKS = 16
_NO_VECTOR = (FusionQuery, RrfQuery, FormulaQuery, OrderByQuery, SampleQuery)


def refuse_scan(
    limits: StrictModeConfig,
    config: CreateCollection,
    schema: Schema,
    request: QueryRequest | QueryGroupsRequest | Prefetch,
) -> None:
    """Raise ``BadRequest`` for a search of a vector whose index is turned off."""
    using = request.using or UNNAMED
    if limits.search_allow_exact is not False or request.query is None:
        return
    if isinstance(request.query, _NO_VECTOR) or using in (config.sparse_vectors or {}):
        return
    links, links_by_payload = _links(config, using)
    if links > 0:
        return
    where = f" on '{using}'" if using else ""
    if not _has_tenant(schema, request.filter):
        raise strict_error(
            f"Request is forbidden{where} because global vector indexing is disabled "
            "(hnsw_config.m = 0)",
            "Use tenant-specific filter, enable global vector indexing or enable strict mode "
            "`search_allow_exact` option",
        )
    if links_by_payload == 0:
        raise strict_error(
            f"Request is forbidden{where} because vector indexing is disabled "
            "(hnsw_config.m = 0 and hnsw_config.payload_m = 0)",
            "Enable vector indexing, use a prefetch query with indexed vectors or enable strict "
            "mode `search_allow_exact` option",
        )


def _links(config: CreateCollection, using: str) -> tuple[int, int]:
    """Return ``m`` and ``payload_m`` of a vector: its own, else the collection's."""
    vectors = config.vectors
    params = vectors if isinstance(vectors, VectorParams) else (vectors or {}).get(using)
    settings = [each for each in (params and params.hnsw_config, config.hnsw_config) if each]
    given = (each.m for each in settings if each.m is not None)
    links = next(given, _DEFAULT_LINKS)
    by_payload = (each.payload_m for each in settings if each.payload_m is not None)
    return links, next(by_payload, links)


def _has_tenant(schema: Schema, wanted: Filter | None) -> bool:
    if wanted is None:
        return False
    keys = (getattr(condition, "key", None) for condition in conditions_of(wanted))
    return any(
        isinstance(schema.get(key), dict) and schema[key].get("is_tenant") for key in keys if key
    )
