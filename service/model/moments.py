"""Moments as every document, list and answer of ours writes them."""

from datetime import UTC, datetime


def as_text(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds: ``2026-11-22T21:00:00.000+00:00``; ``moment`` knows its zone."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
