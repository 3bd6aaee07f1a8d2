"""The spellings of a moment that Qdrant takes, in filters and in payloads.

The forms are those that its parser (the Rust crate chrono) tries one after the other: RFC 3339 with room for blanks;
``T`` or blanks and a zone whose minutes may be missing; the same without a zone, and then perhaps without seconds; the
date alone. The SQL function ``vecferry.datetime_micros`` knows the same forms.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

# Unicode's blanks; the space alone may stand for the T of the first form.
_BLANKS = str.maketrans(
    dict.fromkeys(
        "\n\x0b\x0c\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
        "\u2028\u2029\u202f\u205f\u3000",
        "\t",
    )
)
_B = r"[ \t]*"
_YEAR = r"(?P<year>\d{1,4}|[+-]0*\d{1,6})"
_MONTH = r"(?P<month>\d{1,2})"
_DAY = r"(?P<day>\d{1,2})"
# Two digits where there are two, though a third may follow: the hour's.
_GREEDY_DAY = r"(?P<day>\d{2}|\d(?!\d))"
_HOUR, _MINUTE, _SECOND = r"(?P<hour>\d{1,2})", r"(?P<minute>\d{1,2})", r"(?P<second>\d{1,2})"
_FRACTION = r"(?:\.(?P<fraction>\d+))?"
_ZONE = r"(?P<zone>[uU][tT][cC]|[zZ]|(?P<sign>[+\u2212-])(?P<zone_hour>\d{2})[: \t]*(?P<zone_minute>[0-5]\d)"
_RFC_3339 = (
    rf"{_B}{_YEAR}{_B}-{_B}{_MONTH}{_B}-{_B}{_DAY}"
    rf"[tT ]{_B}{_HOUR}{_B}:{_B}{_MINUTE}{_B}:{_B}{_SECOND}{_FRACTION}{_B}{_ZONE}){_B}"
)
_WITH_ZONE = (
    rf"{_B}{_YEAR}-{_B}{_MONTH}-{_B}{_GREEDY_DAY}"
    rf"(?:T|{_B}){_B}{_HOUR}:{_B}{_MINUTE}:{_B}{_SECOND}{_FRACTION}{_B}{_ZONE}?)"
)
_LOCAL = (
    rf"{_B}{_YEAR}-{_B}{_MONTH}-{_B}{_GREEDY_DAY}"
    rf"(?:T|{_B}){_B}{_HOUR}:{_B}{_MINUTE}(?::{_B}{_SECOND}{_FRACTION})?"
)
_DATE = rf"{_B}{_YEAR}-{_B}{_MONTH}-{_B}{_DAY}"
_FORMS = tuple(re.compile(form, re.ASCII) for form in (_RFC_3339, _WITH_ZONE, _LOCAL, _DATE))


def parse_datetime(text: str) -> datetime:
    """Return the moment in UTC, to the microsecond; a text without a zone means UTC.

    Raises ``ValueError`` for what Qdrant refuses too (months alone, hour 24, epoch numbers) and for years that Python
    does not have: before 1 and after 9999.
    """
    spelled = text.translate(_BLANKS)
    form = next((found for form in _FORMS if (found := form.fullmatch(spelled))), None)
    if form is None:
        message = f"'{text}' is not a date and time of RFC 3339"
        raise ValueError(message)
    part = form.groupdict()
    second = int(part.get("second") or 0)
    leap = second == 60  # noqa: PLR2004 - RFC 3339 allows it, Python does not
    moment = datetime(
        int(part["year"]),
        int(part["month"]),
        int(part["day"]),
        int(part.get("hour") or 0),
        int(part.get("minute") or 0),
        59 if leap else second,
        int((part.get("fraction") or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(part),
    )
    try:
        return (moment + timedelta(seconds=leap)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _zone(part: dict[str, str | None]) -> timezone:
    if not part.get("sign"):
        return UTC
    hours, minutes = int(part["zone_hour"] or 0), int(part["zone_minute"] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(offset if part["sign"] == "+" else -offset)
