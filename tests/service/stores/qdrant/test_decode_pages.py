"""A page's points are decoded when somebody looks at them."""

import pytest

from service.model.points import Record
from service.stores.qdrant import decode


def _page(count: int) -> decode.Page:
    points = [{"id": number, "vector": [1.0, 2.0], "payload": {}} for number in range(count)]
    result = {"points": points, "next_page_offset": count}
    return decode.page(result, payload=True, vectors=False)


def test_a_page_is_a_sequence_of_records() -> None:
    """It is read like a list and equal to one."""
    records = _page(3).records
    expected = [Record(number, {}, None) for number in range(3)]
    assert records == expected
    assert list(records) == expected
    assert (len(records), records[1], records[1:]) == (3, expected[1], expected[1:])


def test_nothing_is_decoded_before_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next page begins is known before; then each point is decoded once."""
    decoded: list[object] = []
    monkeypatch.setattr(
        decode, "record", lambda point, **_: decoded.append(point) or Record(point["id"])
    )
    page = _page(2)
    assert (page.next_id, len(page.records), decoded) == (2, 2, [])
    assert [*page.records, *page.records]
    assert len(decoded) == 2
