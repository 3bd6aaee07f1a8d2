"""From what Qdrant says of a collection to the request that would create it again."""

from service.model.qdrant import (
    CollectionConfig,
    CreateCollection,
    HnswConfigDiff,
    OptimizersConfigDiff,
)


def create_request(config: CollectionConfig) -> CreateCollection:
    """Return a creation request with the vectors and every parameter of a collection that can be changed."""
    params = config.params
    strict = config.strict_mode_config
    request = CreateCollection(
        vectors=params.vectors or {},
        sparse_vectors=params.sparse_vectors,
        shard_number=params.shard_number,
        replication_factor=params.replication_factor,
        write_consistency_factor=params.write_consistency_factor,
        on_disk_payload=params.on_disk_payload,
        hnsw_config=HnswConfigDiff(**config.hnsw_config.model_dump()),
        optimizers_config=OptimizersConfigDiff(**config.optimizer_config.model_dump()),
        quantization_config=config.quantization_config,
        metadata=config.metadata,
    )
    if strict is None:
        return request
    settings = {"strict_mode_config": strict.model_dump(mode="json", exclude_none=True)}
    return CreateCollection.model_validate({**request.model_dump(exclude_none=True), **settings})
