"""The tables of one named vector.

A dense vector is one value of pgvector's, a multivector an array of them, a sparse one two arrays (indices ascending)
beside its inverted index: pgvector's own sparse type ends at 16,000 entries and at index 10^9, Qdrant's at 2^32 - 1.
"""

from dataclasses import dataclass
from typing import assert_never

from service.model.qdrant import Datatype, Distance
from service.stores.configuration import VectorKind, VectorSpec
from service.translate.sql import Identifier, Sql, number, sql

# A vector of up to so many bytes fits a page beside its key: scans are 3.5 times faster when it is not moved out of the
# row.
_PLAIN_BYTES = 8_000


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The table of one named vector; ``extension`` is the schema that pgvector lives in."""

    name: str
    table: Identifier
    spec: VectorSpec
    extension: str

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return self.spec.size

    @property
    def distance(self) -> Distance:
        """How vectors are compared."""
        return self.spec.distance

    @property
    def kind(self) -> VectorKind:
        """What the table holds."""
        return self.spec.kind

    def fits(self, spec: VectorSpec) -> bool:
        """Say whether the table holds what such a vector would; weights of sparse ones are made when they are read."""
        if spec.kind is VectorKind.SPARSE:
            return self.kind is VectorKind.SPARSE
        return self.spec == spec

    @property
    def is_half(self) -> bool:
        """Whether components are kept in 16 bits, which hold a float16 and 0 … 255 exactly."""
        return self.spec.datatype is not Datatype.FLOAT32

    @property
    def type(self) -> Identifier:
        """The type of a dense vector, or of one row of a multivector, qualified."""
        return self.of_extension("halfvec" if self.is_half else "vector")

    def of_extension(self, name: str) -> Identifier:
        """Return what pgvector calls so, qualified."""
        return Identifier((self.extension, name))

    def column(self, alias: Sql) -> Sql:
        """Return what reads the vector of the row with this alias, NULL where there is no row.

        It is the binary form of the columns: :func:`service.stores.postgres.vectors.loaded` knows it.
        """
        match self.kind:
            case VectorKind.DENSE:
                send = self.of_extension("halfvec_send" if self.is_half else "vector_send")
                return sql(send, "(", alias, ".embedding)")
            case VectorKind.MULTI:
                return sql("pg_catalog.array_send(", alias, ".embedding)")
            case VectorKind.SPARSE:
                array = sql("pg_catalog.array_send(", alias)
                return sql("(", array, ".indices) || ", array, ".weights))")
            case _:
                assert_never(self.kind)

    @property
    def postings(self) -> Identifier:
        """The inverted index of a sparse vector."""
        schema, table = self.table.parts
        return Identifier((schema, f"postings{table.removeprefix('vectors')}"))

    @property
    def tables(self) -> tuple[Identifier, ...]:
        """All its tables."""
        return (self.table, self.postings) if self.kind is VectorKind.SPARSE else (self.table,)

    @property
    def index(self) -> Identifier:
        """The name of its HNSW index."""
        schema, table = self.table.parts
        return Identifier((schema, f"{table}_hnsw"))

    @property
    def differs(self) -> Sql:
        """The operator for unequal vectors (IS DISTINCT FROM would need it on the search path)."""
        return sql("OPERATOR(", Identifier((self.extension,)), ".<>)")


def vector_definition(vector: VectorTable) -> Sql:
    """Return what makes the vector's tables; it takes no arguments."""
    match vector.kind:
        case VectorKind.DENSE:
            return _dense_definition(vector)
        case VectorKind.MULTI:
            return _multi_definition(vector)
        case VectorKind.SPARSE:
            return _sparse_definition(vector)
        case _:
            assert_never(vector.kind)


def _dense_definition(vector: VectorTable) -> Sql:
    inline = vector.size * (2 if vector.is_half else 4) <= _PLAIN_BYTES
    return sql(
        "CREATE TABLE ",
        vector.table,
        " (key bytea PRIMARY KEY, embedding ",
        vector.type,
        "(",
        number(vector.size),
        ") NOT NULL); ALTER TABLE ",
        vector.table,
        " ALTER COLUMN embedding SET STORAGE ",
        "plain" if inline else "external",
    )


def _multi_definition(vector: VectorTable) -> Sql:
    return sql(
        "CREATE TABLE ",
        vector.table,
        " (key bytea PRIMARY KEY, embedding ",
        vector.type,
        "(",
        number(vector.size),
        ")[] NOT NULL CHECK (cardinality(embedding) > 0)); ALTER TABLE ",
        vector.table,
        # Compression wins nothing on floats.
        " ALTER COLUMN embedding SET STORAGE external",
    )


def _sparse_definition(vector: VectorTable) -> Sql:
    # The index on the empty vectors is small: with it the others are counted without reading them (IDF wants their
    # number).
    return sql(
        "CREATE TABLE ",
        vector.table,
        " (key bytea PRIMARY KEY, indices bigint[] NOT NULL, weights real[] NOT NULL);"
        " CREATE INDEX ON ",
        vector.table,
        " (key) WHERE indices = '{}'; CREATE TABLE ",
        vector.postings,
        " (dim bigint NOT NULL, key bytea NOT NULL, weight real NOT NULL,"
        " PRIMARY KEY (dim, key) INCLUDE (weight))",
    )
