"""The process that indexes a copy of one shard and ends.

``EdgeShard.optimize`` holds the interpreter lock for as long as it runs. It runs here, so that the engine process
goes on serving. ``python -m service.stores.edge.optimizer <collection directory> <shard directory>``
"""

import os
import sys
from pathlib import Path

import qdrant_edge as edge

from service.stores.configuration import vector_params
from service.stores.edge.config import engine_config
from service.stores.edge.manifest import Manifest
from service.stores.edge.processes import die_with_parent

_NICENESS = 10


def main() -> None:
    """Optimise with the configuration that the collection has now."""
    die_with_parent()
    os.nice(_NICENESS)
    directory, shard_directory = map(Path, sys.argv[1:])
    request = Manifest.read(directory).request
    has_vectors = vector_params(request) or request.sparse_vectors
    config = engine_config(request) if has_vectors else None
    shard = edge.EdgeShard.load(str(shard_directory), config)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
