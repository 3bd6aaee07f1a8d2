"""Whether two stores hold the same points, read as a whole: not by the code that is tested."""

import numpy as np
import pytest

from service.model.ids import PointId
from service.model.points import Record
from service.model.qdrant import ScrollRequest
from service.ports import PointReader


async def contents(store: PointReader, name: str) -> dict[PointId, tuple[object, object]]:
    """Return every point of a store in a form that can be compared."""
    request = ScrollRequest(limit=10_000, with_payload=True, with_vector=True)
    page = await store.scroll(name, request)
    return {record.id: (record.payload, _plain(record)) for record in page.records}


def _plain(record: Record) -> dict[str, object]:
    plain: dict[str, object] = {}
    for name, vector in (record.vectors or {}).items():
        if isinstance(vector, np.ndarray):
            plain[name] = np.round(vector.astype(np.float64), 5).tolist()
        else:
            order = np.argsort(vector.indices)
            plain[name] = (vector.indices[order].tolist(), vector.values[order].tolist())
    return plain


async def assert_equal(source: PointReader, target: PointReader, name: str) -> None:
    """Fail with what is missing, extra or different in the target."""
    ours, theirs = await contents(target, name), await contents(source, name)
    assert theirs.keys() - ours.keys() == set(), "missing"
    assert ours.keys() - theirs.keys() == set(), "extra"
    differing = [key for key in theirs if not _close(ours[key], theirs[key])]
    assert differing == []


def _close(first: object, second: object) -> bool:
    if isinstance(first, float) and isinstance(second, int | float):
        return bool(first == pytest.approx(second, abs=2e-4, rel=1e-4))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        pairs = zip(first, second, strict=False)
        return len(first) == len(second) and all(_close(*pair) for pair in pairs)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_close(first[k], second[k]) for k in first)
    return first == second
