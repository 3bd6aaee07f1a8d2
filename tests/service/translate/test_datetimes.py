"""Spellings of a moment."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translate.datetimes import parse_datetime

NEW_YEAR = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-01T00:00:00Z",
        "2020-01-01t00:00:00z",
        "2020-01-01 00:00:00",
        "2020-01-01T02:00:00+02:00",
        "2020-01-01T02:00:00+0200",
        "2020-01-01T02:00:00+02",
        "2019-12-31T22:30:00-01:30",
        "2020-01-01",
        " 2020-01-01",
        "2020-1-1",
        "2020-01-01T00:00",
        "2020-01-01T00:00:00.0000009",
        "2019-12-31T23:59:60Z",
    ],
)
def test_spellings_of_one_moment(text: str) -> None:
    """Everything that Qdrant reads as the first moment of 2020."""
    assert parse_datetime(text) == NEW_YEAR


@pytest.mark.parametrize(
    "text",
    ["2020-01", "2020-01-01T24:00:00", "1577836800", "20200101T100000Z", "2020-02-30", "now", ""],
)
def test_what_is_no_moment(text: str) -> None:
    """Everything that Qdrant refuses."""
    with pytest.raises(ValueError, match=r"RFC 3339|must be in|out of range"):
        parse_datetime(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_isoformat_is_read_back(moment: datetime) -> None:
    """The standard form keeps every microsecond."""
    assert parse_datetime(moment.isoformat()) == moment
