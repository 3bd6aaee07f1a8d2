"""Payload selectors against Qdrant's engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.model.points import Payload
from service.model.qdrant import PayloadSelectorExclude, PayloadSelectorInclude
from service.translate.projection import projection
from tests.service.translate import engine
from tests.service.translate.json_values import paths, payloads


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[edge.EdgeShard]:
    """An empty shard of the oracle."""
    with engine.opened(tmp_path) as opened:
        yield opened


@given(whole=payloads, keys=st.lists(paths, max_size=3))
def test_selectors_leave_what_the_engine_leaves(
    shard: edge.EdgeShard, whole: Payload, keys: list[str]
) -> None:
    """A list, an include and an exclude of random paths give the engine's payload."""
    engine.store(shard, {1: whole})
    pairs = (
        (keys, keys),
        (PayloadSelectorInclude(include=keys), edge.PayloadSelector.Include(keys)),
        (PayloadSelectorExclude(exclude=keys), edge.PayloadSelector.Exclude(keys)),
    )
    for ours, theirs in pairs:
        project = projection(ours)
        assert project is not None
        assert project(whole) == engine.payload(shard, 1, theirs)


def test_no_payload_is_wanted() -> None:
    """False and an absent selector ask for nothing, which is not the same as an empty payload."""
    assert projection(None) is None
    assert projection(False) is None
