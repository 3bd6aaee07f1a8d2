"""The body that describes a named vector which is added to a collection."""

from service.api.parsing import parse
from service.api.qdrant.paths import malformed
from service.api.qdrant.reading import as_object
from service.model.qdrant import DenseVectorNameConfig, SparseVectorNameConfig, VectorNameConfig


def parse_vector_config(raw: object) -> VectorNameConfig:
    """Return the configuration, of a dense or a sparse vector. Raises ``MalformedBody`` and ``InvalidBody``."""
    fields = as_object(raw)
    if "dense" in fields:
        return parse(DenseVectorNameConfig, fields)
    if "sparse" in fields:
        return parse(SparseVectorNameConfig, fields)
    raise malformed((), "expected one of `dense`, `sparse`")
