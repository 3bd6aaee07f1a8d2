"""Moments as text."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from service.model.moments import as_text

_SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 11, 22, 21, tzinfo=UTC), "2026-11-22T21:00:00.000+00:00"),
        (datetime(2026, 11, 22, 21, 0, 0, 1999, tzinfo=UTC), "2026-11-22T21:00:00.001+00:00"),
        (datetime(2026, 7, 1, 1, tzinfo=_SUMMER), "2026-06-30T23:00:00.000+00:00"),
    ],
)
def test_every_moment_has_one_form(moment: datetime, text: str) -> None:
    """Whole seconds are written as long as others, and zones end."""
    assert as_text(moment) == text
