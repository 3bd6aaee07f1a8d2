"""Points as columns in a Parquet file and back."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from backfill.archive.decoding import decode
from backfill.archive.encoding import encode
from backfill.archive.layout import difference, layout_of, schema_of
from backfill.archive.writing import PointFile
from service.errors import ArchiveError
from service.model.points import Point, SparseVector
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    Distance,
    SparseIndexParams,
    SparseVectorParams,
    VectorParams,
)
from tests.backfill.archive.points import CONFIG, ODD, exact, fixed, points

LAYOUT = layout_of(CONFIG)
SCHEMA = schema_of(LAYOUT, "things")


def _through_a_file(path: Path, given: list[Point]) -> list[Point]:
    file = PointFile(path, LAYOUT, SCHEMA, level=3)
    for start in range(0, len(given), 4):
        file.write(given[start : start + 4])
    entry = file.finish()
    assert (entry.rows, entry.bytes) == (len(given), path.stat().st_size)
    return decode(pq.ParquetFile(path).read(), LAYOUT)


@given(given=points())
def test_a_batch_and_back(given: list[Point]) -> None:
    """Every id, payload and vector is the same to the bit; what is absent stays absent."""
    batch = encode(given, LAYOUT, SCHEMA)
    assert [exact(each) for each in decode(pa.Table.from_batches([batch]), LAYOUT)] == [
        exact(each) for each in given
    ]


@given(given=points())
def test_a_file_and_back(tmp_path_factory: pytest.TempPathFactory, given: list[Point]) -> None:
    """The same through the disk, where nulls and lists are packed in another way."""
    if given:
        path = tmp_path_factory.mktemp("file") / "points-000001.parquet"
        assert [exact(e) for e in _through_a_file(path, given)] == [exact(e) for e in given]


def test_odd_payloads_and_missing_vectors(tmp_path: Path) -> None:
    """Large and small numbers, null, empty and nested values, points without a vector."""
    given = fixed(60)
    assert {key for point in given for key in point.payload} >= {key for odd in ODD for key in odd}
    path = tmp_path / "points-000001.parquet"
    assert [exact(each) for each in _through_a_file(path, given)] == [exact(each) for each in given]


def test_the_columns_have_the_documented_types() -> None:
    """Other tools read these files by them."""
    assert {field.name: str(field.type) for field in SCHEMA} == {
        "id": "string", "kind": "string", "payload": "string",
        "vector": "fixed_size_list<item: float>[3]",
        "vector.text.a": "fixed_size_list<item: float>[2]",
        "vector.rows": "list<item: fixed_size_list<item: float>[2]>",
        "vector.words": "struct<indices: list<item: uint32>, values: list<item: float>>",
    }  # fmt: skip
    assert SCHEMA.metadata[b"version"] == b"1"


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("new", np.zeros(3, np.float32)),
        ("", np.zeros(4, np.float32)),
        ("rows", np.zeros(2, np.float32)),
        ("words", np.zeros(2, np.float32)),
        ("", SparseVector(np.zeros(1, np.uint32), np.zeros(1, np.float32))),
    ],
)
def test_a_vector_that_has_no_column_is_an_error(name: str, vector: object) -> None:
    """A collection that changed under the export must not lose what was added."""
    point = Point(7, {name: vector}, {})  # type: ignore[dict-item]  # both kinds
    with pytest.raises(ArchiveError, match=r"point 7: `vector.*does not fit"):
        encode([point], LAYOUT, SCHEMA)


def _with(**changes: object) -> CreateCollection:
    return CONFIG.model_copy(update=changes)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (CONFIG, None),
        (
            _with(vectors={**CONFIG.vectors, "": VectorParams(size=4, distance=Distance.DOT)}),  # type: ignore[dict-item]  # a dict
            "vectors.size is 4, in the export it is 3",
        ),
        (
            _with(vectors={**CONFIG.vectors, "": VectorParams(size=3, distance=Distance.COSINE)}),  # type: ignore[dict-item]
            "vectors.distance is Cosine, in the export it is Dot",
        ),
        (_with(sparse_vectors=None), "vectors.words is missing"),
        (
            _with(sparse_vectors={"words": SparseVectorParams()}),
            "vectors.words.modifier is None, in the export it is idf",
        ),
        (
            _with(
                sparse_vectors={
                    "words": CONFIG.sparse_vectors["words"].model_copy(  # type: ignore[index]
                        update={"index": SparseIndexParams(datatype=Datatype.FLOAT16)}
                    )
                }
            ),
            "vectors.words.datatype is float16, in the export it is float32",
        ),
        (
            _with(vectors={**CONFIG.vectors, "more": VectorParams(size=3, distance=Distance.DOT)}),  # type: ignore[dict-item]
            "vectors.more is not in the export",
        ),
    ],
)
def test_a_configuration_that_differs_is_named(other: CreateCollection, reason: str | None) -> None:
    """By its field, with both values."""
    assert difference(LAYOUT, layout_of(other)) == reason
