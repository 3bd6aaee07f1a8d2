"""The fields of request bodies that are unsigned in Qdrant, each with the least value that can make sense."""

from pydantic import BaseModel

from service.model.qdrant import Rrf, Slice, ValuesCount

UNSIGNED: dict[str, int] = {
    "candidates_limit": 1,
    "condition_max_size": 0,
    "default_segment_number": 0,
    "ef_construct": 4,
    "filter_max_conditions": 0,
    "flush_interval_sec": 0,
    "full_scan_threshold": 0,
    "group_size": 1,
    "hnsw_ef": 0,
    "indexing_threshold": 0,
    "limit": 1,
    "m": 0,
    "max_collection_payload_size_bytes": 0,
    "max_collection_vector_size_bytes": 0,
    "max_indexing_threads": 0,
    "max_payload_index_count": 0,
    "max_points_count": 1,
    "max_query_limit": 1,
    "max_segment_size": 1,
    "max_timeout": 1,
    "max_token_len": 0,
    "memmap_threshold": 0,
    "min_count": 0,
    "min_token_len": 0,
    "offset": 0,
    "payload_m": 0,
    "read_fan_out_factor": 0,
    "read_rate_limit": 1,
    "replication_factor": 1,
    "sample": 2,
    "search_max_batchsize": 0,
    "search_max_hnsw_ef": 0,
    "shard_number": 1,
    "size": 1,
    "top": 1,
    "upsert_max_batchsize": 0,
    "vacuum_min_vector_number": 100,
    "wal_capacity_mb": 1,
    "wal_retain_closed": 1,
    "wal_segments_ahead": 0,
    "write_consistency_factor": 1,
    "write_rate_limit": 1,
}
"""By name, wherever they stand; the ``offset`` of a scroll is an id."""

UNSIGNED_OF: dict[type[BaseModel], frozenset[str]] = {
    Rrf: frozenset({"k"}),
    Slice: frozenset({"total", "index"}),
    ValuesCount: frozenset({"lt", "gt", "lte", "gte"}),
}
"""Of one object only: elsewhere the same names have a sign."""

BOUNDED = frozenset(
    {
        *("candidates_limit", "group_size", "hnsw_ef", "limit", "min_count", "offset", "sample"),
        *("top", "lt", "gt", "lte", "gte"),
    }
)
MOST = 2**31 - 1
"""What a larger number of points is as good as; the product of two still fits into 64 bits."""
