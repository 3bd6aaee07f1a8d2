"""A collection's creation request as the engine takes it."""

from typing import Any

import qdrant_edge as edge

from service.model.qdrant import (
    BinaryQuantization,
    CreateCollection,
    HnswConfig,
    Modifier,
    MultiVectorConfig,
    ProductQuantization,
    QuantizationConfig,
    ScalarQuantization,
    SparseIndexParams,
    SparseVectorParams,
    TurboQuantization,
    VectorParams,
)
from service.stores.configuration import hnsw_config, optimizers_config, vector_params
from service.stores.edge.enums import engine_enum

PLACEHOLDER = "vecferry-placeholder"
"""The engine wants at least one vector at creation; this one is removed again at once."""

SEARCH_THREADS = 1


def engine_config(request: CreateCollection) -> edge.EdgeConfig:
    """Return the engine's configuration for a collection with at least one vector."""
    settings = optimizers_config(request)
    return edge.EdgeConfig(
        vectors={n: _dense(n, p, request) for n, p in vector_params(request).items()} or None,
        sparse_vectors={n: _sparse(p) for n, p in (request.sparse_vectors or {}).items()} or None,
        on_disk_payload=request.on_disk_payload is not False,
        hnsw_config=_hnsw(hnsw_config(request)),
        quantization_config=_quantization(request.quantization_config),
        optimizers=edge.EdgeOptimizersConfig(
            deleted_threshold=settings.deleted_threshold,
            vacuum_min_vector_number=settings.vacuum_min_vector_number,
            default_segment_number=settings.default_segment_number or None,
            max_segment_size=settings.max_segment_size,
            indexing_threshold=settings.indexing_threshold,
        ),
        max_search_threads=SEARCH_THREADS,
    )


def placeholder_config(request: CreateCollection) -> edge.EdgeConfig:
    """Return a configuration whose only vector is the placeholder."""
    params = SparseVectorParams()
    return engine_config(request.model_copy(update={"sparse_vectors": {PLACEHOLDER: params}}))


def _dense(name: str, params: VectorParams, request: CreateCollection) -> edge.EdgeVectorParams:
    own_hnsw = None
    if params.hnsw_config is not None:
        own_hnsw = _hnsw(hnsw_config(request, name))
    multi = None
    if params.multivector_config is not None:
        multi = multivector_config(params.multivector_config)
    return edge.EdgeVectorParams(
        size=params.size,
        distance=engine_enum(edge.Distance, params.distance),
        on_disk=params.on_disk,
        multivector_config=multi,
        datatype=engine_enum(edge.VectorStorageDatatype, params.datatype),
        quantization_config=_quantization(params.quantization_config),
        hnsw_config=own_hnsw,
        memory=engine_enum(edge.Memory, params.memory),
    )


def multivector_config(config: MultiVectorConfig) -> edge.MultiVectorConfig:
    """Return how the rows of multivectors are compared."""
    return edge.MultiVectorConfig(engine_enum(edge.MultiVectorComparator, config.comparator))


def _sparse(params: SparseVectorParams) -> edge.EdgeSparseVectorParams:
    index = params.index or SparseIndexParams()
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.full_scan_threshold,
        on_disk=index.on_disk,
        modifier=edge.Modifier.Idf if params.modifier is Modifier.IDF else None,
        datatype=engine_enum(edge.VectorStorageDatatype, index.datatype),
        memory=engine_enum(edge.Memory, index.memory),
    )


def _hnsw(config: HnswConfig) -> edge.HnswIndexConfig:
    return edge.HnswIndexConfig(
        m=config.m,
        ef_construct=config.ef_construct,
        full_scan_threshold=config.full_scan_threshold,
        max_indexing_threads=config.max_indexing_threads or 0,
        on_disk=config.on_disk,
        payload_m=config.payload_m,
        inline_storage=config.inline_storage,
        memory=engine_enum(edge.Memory, config.memory),
    )


def _quantization(config: QuantizationConfig | None) -> Any:
    match config:
        case None:
            return None
        case ScalarQuantization(scalar=scalar):
            return edge.ScalarQuantizationConfig(
                engine_enum(edge.ScalarType, scalar.type),
                quantile=scalar.quantile,
                always_ram=scalar.always_ram,
                memory=engine_enum(edge.Memory, scalar.memory),
            )
        case ProductQuantization(product=product):
            return edge.ProductQuantizationConfig(
                engine_enum(edge.CompressionRatio, product.compression),
                always_ram=product.always_ram,
                memory=engine_enum(edge.Memory, product.memory),
            )
        case BinaryQuantization(binary=binary):
            return edge.BinaryQuantizationConfig(
                always_ram=binary.always_ram,
                encoding=engine_enum(edge.BinaryQuantizationEncoding, binary.encoding),
                query_encoding=engine_enum(
                    edge.BinaryQuantizationQueryEncoding, binary.query_encoding
                ),
                memory=engine_enum(edge.Memory, binary.memory),
            )
        case TurboQuantization(turbo=turbo):
            return edge.TurboQuantQuantizationConfig(
                always_ram=turbo.always_ram,
                bits=engine_enum(edge.TurboQuantBitSize, turbo.bits),
                memory=engine_enum(edge.Memory, turbo.memory),
            )
