"""The spellings of a point in time that Qdrant takes in a filter."""

import re
from datetime import UTC, datetime, timedelta, timezone

_FORM = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[Tt ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>[Zz]|(?P<sign>[+-])(?P<zone_hour>\d{2}):?(?P<zone_minute>\d{2})?)?)?",
    re.ASCII,
)


def parse_datetime(text: str) -> datetime:
    """Return the moment in UTC, to the microsecond; a text without a zone means UTC.

    Raises ``ValueError`` for what Qdrant refuses too: months alone, hour 24, epoch numbers.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None:
        message = f"'{text}' is not a date and time of RFC 3339"
        raise ValueError(message)
    part = form.groupdict()
    second = int(part["second"] or 0)
    leap = second == 60  # noqa: PLR2004 - RFC 3339 allows it, Python does not
    moment = datetime(
        int(part["year"]),
        int(part["month"]),
        int(part["day"]),
        int(part["hour"] or 0),
        int(part["minute"] or 0),
        59 if leap else second,
        int((part["fraction"] or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(part),
    )
    return (moment + timedelta(seconds=leap)).astimezone(UTC)


def _zone(part: dict[str, str | None]) -> timezone:
    if part["sign"] is None:
        return UTC
    offset = timedelta(hours=int(part["zone_hour"] or 0), minutes=int(part["zone_minute"] or 0))
    return timezone(-offset if part["sign"] == "-" else offset)
