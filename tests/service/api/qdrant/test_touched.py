"""Which points a raw body names."""

import subprocess
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.qdrant.kinds import WRITE_ROUTES, WriteKind
from service.api.qdrant.operations import parse_operation
from service.api.qdrant.touched import Touched, touched
from service.errors import MalformedBody
from service.model.operations import ByIds, UpdateVectors, Upsert

UUID_ONE = "00000000-0000-0000-0000-000000000001"
ROUTE_OF = {kind: route for route, kind in WRITE_ROUTES.items()}
IDS = st.integers(0, 2**64 - 1) | st.uuids().map(lambda value: value.hex.upper())


def _touched(kind: WriteKind, body: Any) -> tuple[Touched, ...] | None:
    return touched(*ROUTE_OF[kind], orjson.dumps(body))


@pytest.mark.parametrize("kind", [WriteKind.UPSERT, WriteKind.UPDATE_VECTORS])
@given(ids=st.lists(IDS, min_size=1))
def test_points_with_vectors(kind: WriteKind, ids: list[Any]) -> None:
    """The ids of a list of points are those of the operation that the body stands for."""
    body = {"points": [{"id": each, "vector": [1]} for each in ids]}
    (operation,) = parse_operation(kind, body)
    assert isinstance(operation, Upsert | UpdateVectors)
    known = [each[0] if isinstance(each, tuple) else each.id for each in operation.points]
    assert _touched(kind, body) == (Touched(kind, tuple(dict.fromkeys(known))),)


@given(ids=st.lists(IDS, min_size=1))
def test_columns(ids: list[Any]) -> None:
    """A columnar upsert names its ids in one list."""
    body = {"batch": {"ids": ids, "vectors": [[1]] * len(ids)}}
    (operation,) = parse_operation(WriteKind.UPSERT, body)
    assert isinstance(operation, Upsert)
    expected = tuple(dict.fromkeys(point.id for point in operation.points))
    assert _touched(WriteKind.UPSERT, body) == (Touched(WriteKind.UPSERT, expected),)


@pytest.mark.parametrize(
    "kind", sorted(set(WriteKind) - {WriteKind.UPSERT, WriteKind.UPDATE_VECTORS})
)
@given(ids=st.lists(IDS, min_size=1))
def test_selections(kind: WriteKind, ids: list[Any]) -> None:
    """Ids, a filter, or both, of which all but one kind take the ids."""
    rest = {"payload": {}, "keys": [], "vector": ["v"]}
    condition = {"must": [{"key": "a", "match": {"value": 1}}]}
    (operation, *_) = parse_operation(kind, {**rest, "points": ids})
    selector = getattr(operation, "selector", None)
    assert isinstance(selector, ByIds)
    known = tuple(dict.fromkeys(selector.ids))

    assert _touched(kind, {**rest, "points": ids}) == (Touched(kind, known),)
    assert _touched(kind, {**rest, "filter": condition}) == (Touched(kind, (), condition),)
    both = condition if kind is WriteKind.DELETE_VECTORS else None
    body = {**rest, "points": ids, "filter": condition}
    assert _touched(kind, body) == (Touched(kind, known, both),)


def test_a_batch_has_one_value_per_operation() -> None:
    """Operations are listed in the order in which they run."""
    operations = [
        {"upsert": {"points": [{"id": 1, "vector": [1]}]}},
        {"delete": {"filter": {"must": []}}},
        {"clear_payload": {"points": [UUID_ONE.replace("-", ""), 1, UUID_ONE]}},
    ]
    assert touched("post", "/batch/", orjson.dumps({"operations": operations})) == (
        Touched(WriteKind.UPSERT, (1,)),
        Touched(WriteKind.DELETE, (), {"must": []}),
        Touched(WriteKind.CLEAR_PAYLOAD, (UUID_ONE, 1)),
    )


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/query"), ("POST", ""), ("GET", "/1")])
def test_reads_touch_nothing(method: str, suffix: str) -> None:
    """A request that is no write to points is not looked into."""
    assert touched(method, suffix, b"not json") is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("upsert", b"{"),
        ("upsert", b"[]"),
        ("upsert", b"{}"),
        ("upsert", b'{"points": [1]}'),
        ("upsert", b'{"points": [{"vector": [1]}]}'),
        ("upsert", b'{"points": [{"id": 1.0, "vector": [1]}]}'),
        ("upsert", b'{"batch": {"ids": 1}}'),
        ("delete", b"{}"),
        ("delete", b'{"points": ["abc"]}'),
        ("delete", b'{"points": null, "filter": null}'),
        ("delete", b'{"filter": []}'),
        ("set_payload", b'{"points": 1}'),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(kind: str, body: bytes) -> None:
    """Nobody forwards a write whose ids are not known."""
    with pytest.raises(MalformedBody):
        touched(*ROUTE_OF[WriteKind(kind)], body)


@pytest.mark.parametrize(
    "operation", [{}, {"explode": {}}, {"delete": {"points": [1]}, "upsert": {"points": []}}]
)
def test_an_operation_has_exactly_one_kind(operation: Any) -> None:
    """An entry of a batch that could mean two things is refused."""
    with pytest.raises(MalformedBody):
        touched("POST", "/batch", orjson.dumps({"operations": [operation]}))


def test_no_web_framework_is_needed() -> None:
    """The proxy asks this on its hot path, without FastAPI."""
    code = (
        "import sys, service.api.qdrant.touched;"
        "print([m for m in ('fastapi', 'starlette', 'pydantic') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.strip() == b"[]"
