"""A page's points are decoded when somebody looks at them."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.model.points import Page, Record
from service.stores.qdrant import decode


def _page(count: int) -> Page:
    points = [{"id": number, "vector": [1.0, 2.0], "payload": {}} for number in range(count)]
    result = {"points": points, "next_page_offset": count}
    return decode.page(result, payload=True, vectors=False)


def test_a_page_is_a_sequence_of_records() -> None:
    """It is read like a list, and one that is empty is equal to one."""
    records = _page(3).records
    assert [record.id for record in records] == [0, 1, 2]
    assert (len(records), records[1].id, [each.id for each in records[1:]]) == (3, 1, [1, 2])
    assert _page(0).records == []


def test_nothing_is_decoded_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next page begins and its last point are known before; then each point is decoded once."""
    decoded: list[object] = []

    def record(point: Mapping[str, Any], **_: bool) -> Record:
        decoded.append(point)
        return Record(point["id"], None, None)

    monkeypatch.setattr(decode, "record", record)
    page = _page(2)
    assert (page.next_id, len(page.records), decoded) == (2, 2, [])
    assert (page.records[-1].id, len(decoded)) == (1, 1)
    assert [*page.records, *page.records, page.records[-1]]
    assert len(decoded) == 3
