"""From what Qdrant says of a collection to the request that would create it again."""

from service.model.qdrant import CollectionConfig, CreateCollection, HnswConfigDiff


def create_request(config: CollectionConfig) -> CreateCollection:
    """Return a creation request with the vectors and the HNSW and optimiser settings of a collection."""
    params = config.params
    return CreateCollection(
        vectors=params.vectors or {},
        sparse_vectors=params.sparse_vectors,
        shard_number=params.shard_number,
        replication_factor=params.replication_factor,
        write_consistency_factor=params.write_consistency_factor,
        on_disk_payload=params.on_disk_payload,
        hnsw_config=HnswConfigDiff(**config.hnsw_config.model_dump()),
        quantization_config=config.quantization_config,
        metadata=config.metadata,
    )
