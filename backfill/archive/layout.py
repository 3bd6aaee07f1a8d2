"""Which columns a collection has, and whether two collections hold the same kinds of vectors. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

import pyarrow as pa

from service.errors import ArchiveError
from service.model.points import UNNAMED
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    SparseVectorParams,
    VectorParams,
)

FORMAT = "vecferry-export"
VERSION = 1

_POINT_FIELDS = (
    pa.field("id", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),
    pa.field("payload", pa.string(), nullable=False),
)


class Kind(StrEnum):
    """What a vector is made of, and so the type of its column."""

    DENSE = "dense"
    """``fixed_size_list<float>[size]``"""
    MULTI = "multivector"
    """``list<fixed_size_list<float>[size]>``"""
    SPARSE = "sparse"
    """``struct<indices: list<uint32>, values: list<float>>``"""


@dataclass(frozen=True, slots=True)
class VectorShape:
    """What of a vector cannot be another one without changing what is stored."""

    kind: Kind
    size: int | None = None
    distance: str | None = None
    datatype: str = str(Datatype.FLOAT32.value)
    comparator: str | None = None
    modifier: str | None = None


Layout = Mapping[str, VectorShape]
"""The vectors of a collection by name; the unnamed one is ``""``."""


def layout_of(request: CreateCollection) -> Layout:
    """Return the vectors that a collection of this configuration has."""
    vectors = request.vectors
    dense = {UNNAMED: vectors} if isinstance(vectors, VectorParams) else vectors or {}
    sparse = request.sparse_vectors or {}
    return {name: _dense(params) for name, params in dense.items()} | {
        name: _sparse(params) for name, params in sparse.items()
    }


def _dense(params: VectorParams) -> VectorShape:
    multi = params.multivector_config
    return VectorShape(
        Kind.DENSE if multi is None else Kind.MULTI,
        size=params.size,
        distance=str(params.distance.value),
        datatype=str((params.datatype or Datatype.FLOAT32).value),
        comparator=None if multi is None else str(multi.comparator.value),
    )


def _sparse(params: SparseVectorParams) -> VectorShape:
    datatype = None if params.index is None else params.index.datatype
    return VectorShape(
        Kind.SPARSE,
        datatype=str((datatype or Datatype.FLOAT32).value),
        modifier=None if params.modifier is None else str(params.modifier.value),
    )


def difference(archived: Layout, found: Layout) -> str | None:
    """Return the first field in which two layouts differ and both its values; ``None`` when they are equal."""
    for name in sorted(archived.keys() | found.keys()):
        if name not in found:
            return f"{_field(name)} is missing"
        if name not in archived:
            return f"{_field(name)} is not in the export"
        ours, theirs = asdict(archived[name]), asdict(found[name])
        for key, value in ours.items():
            if theirs[key] != value:
                return f"{_field(name)}.{key} is {theirs[key]}, in the export it is {value}"
    return None


def _field(name: str) -> str:
    return f"vectors.{name}" if name else "vectors"


def column_name(vector: str) -> str:
    """Return the column of a vector: ``vector`` of the unnamed one, ``vector.<name>`` of others."""
    return f"vector.{vector}" if vector else "vector"


def schema_of(layout: Layout, collection: str) -> pa.Schema:
    """Return the schema of a file; its metadata names the format, its version and the collection."""
    vectors = (pa.field(column_name(name), column_type(shape)) for name, shape in layout.items())
    metadata = {"format": FORMAT, "version": str(VERSION), "collection": collection}
    return pa.schema([*_POINT_FIELDS, *vectors], metadata=metadata)


def column_type(shape: VectorShape) -> pa.DataType:
    """Return the type of a vector's column."""
    match shape.kind:
        case Kind.DENSE:
            return _row(shape)
        case Kind.MULTI:
            return pa.list_(_row(shape))
        case Kind.SPARSE:
            entries = [("indices", pa.list_(pa.uint32())), ("values", pa.list_(pa.float32()))]
            return pa.struct(entries)


def _row(shape: VectorShape) -> pa.DataType:
    if shape.size is None:
        message = "a dense vector without a size"
        raise ArchiveError(message)
    return pa.list_(pa.float32(), shape.size)
