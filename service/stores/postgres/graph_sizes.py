"""What an HNSW graph takes, in memory while it is built and on disk afterwards. Pure; pgvector 0.8's own layout."""

from service.stores.postgres.ddl import GraphOptions
from service.stores.postgres.distances import indexes_halves
from service.stores.postgres.vector_tables import VectorTable

MEGABYTE = 1 << 20
LEAST_MEGABYTES = 64
"""Postgres' own default of maintenance_work_mem."""

_PAGE_BYTES = 8_192
_PAGE_HEADER_BYTES = 44
_ELEMENT_BYTES = 100
"""Of a row in the index beside its vector: heads, the place of the row, of its neighbours."""
_NEIGHBOUR_BYTES = 6
_NEIGHBOURS_HEAD_BYTES = 24
# Measured for m = 16: 0.8 to 1.1 kB a row beside its vector. What is not neighbours is there for any m.
_BUILD_ROW_BYTES = 300
_BUILD_NEIGHBOUR_BYTES = 50
_SPARE = 1.25


def vector_bytes(vector: VectorTable) -> int:
    """Return the size of one vector in the index: two bytes per dimension in half precision, else four."""
    return (2 if vector.is_half or indexes_halves(vector) else 4) * vector.size + 8


def build_megabytes(rows: int, vector: VectorTable, options: GraphOptions) -> int:
    """Return the memory that keeps the graph of so many rows out of the temporary files."""
    row = vector_bytes(vector) + _BUILD_ROW_BYTES + _BUILD_NEIGHBOUR_BYTES * options.m
    return max(int(rows * row * _SPARE) // MEGABYTE + 1, LEAST_MEGABYTES)


def index_bytes(rows: int, vector: VectorTable, options: GraphOptions) -> int:
    """Return about how large the index gets: whole rows on pages, each with its neighbours where they fit."""
    element = vector_bytes(vector) + _ELEMENT_BYTES
    neighbours = _NEIGHBOURS_HEAD_BYTES + 2 * options.m * _NEIGHBOUR_BYTES
    per_page = max(1, (_PAGE_BYTES - _PAGE_HEADER_BYTES) // (element + neighbours))
    return -(-rows // per_page) * _PAGE_BYTES
