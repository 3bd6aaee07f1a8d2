"""Payload operations by path against Qdrant's engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.model.points import Payload
from service.translate.payload_paths import delete_keys, set_payload
from tests.service.translate import engine
from tests.service.translate.json_values import paths, payloads


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[edge.EdgeShard]:
    """An empty shard of the oracle."""
    with engine.opened(tmp_path) as opened:
        yield opened


@given(old=payloads, changes=payloads, key=st.one_of(st.none(), paths))
def test_set_payload_leaves_what_the_engine_leaves(
    shard: edge.EdgeShard, old: Payload, changes: Payload, key: str | None
) -> None:
    """Merging random changes at random paths gives the engine's payload."""
    engine.store(shard, {1: old})
    shard.update(edge.UpdateOperation.set_payload([1], changes, key))
    assert set_payload(old, changes, key) == engine.payload(shard, 1)


@given(old=payloads, keys=st.lists(paths, max_size=3))
def test_delete_keys_leaves_what_the_engine_leaves(
    shard: edge.EdgeShard, old: Payload, keys: list[str]
) -> None:
    """Deleting random paths one after the other gives the engine's payload."""
    engine.store(shard, {1: old})
    shard.update(edge.UpdateOperation.delete_payload([1], keys))
    assert delete_keys(old, keys) == engine.payload(shard, 1)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("l[0]", {"l": [{"q": 1}, {"b": 2}]}),
        ("l[1]", {"l": [1, {"b": 2, "q": 1}]}),
        ("l[7]", {"l": [1, {"b": 2}]}),
        ("l[].b", {"l": [{"b": {"q": 1}}, {"b": {"q": 1}}]}),
        ("l.b", {"l": {"b": {"q": 1}}}),
        ("new[0].x", {"l": [1, {"b": 2}], "new": []}),
    ],
)
def test_set_payload_by_path(key: str, expected: dict[str, Any]) -> None:
    """Elements are merged into, scalars on the way replaced, absent elements not made."""
    assert set_payload({"l": [1, {"b": 2}]}, {"q": 1}, key) == expected


def test_arguments_stay_as_they_are() -> None:
    """The old payload is not changed in place, however deep the change is."""
    old = {"a": {"b": {"c": 1}}, "l": [{"x": 1}]}
    set_payload(old, {"c": 2}, "a.b")
    delete_keys(old, ["l[].x", "a.b"])
    assert old == {"a": {"b": {"c": 1}}, "l": [{"x": 1}]}
