"""``match``: value, any and except, without a payload index.

Integers match JSON integers only: not ``3.0``, not ``"3"``, not ``true``. jsonb compares numbers by value but keeps the
digits, so integers are compared by their text.
"""

from collections.abc import Sequence

from service.translate.jsonpath import elements, has_element, text
from service.translate.paths import Path
from service.translate.sql import FALSE, Argument, Sql, sql

_NUL = "\x00"


def matches_value(payload: Sql, path: Path, value: bool | int | str) -> Sql:  # noqa: FBT001
    """Say whether an element equals the value, type for type."""
    match value:
        case bool():
            return has_element(payload, path, f"@ == {'true' if value else 'false'}")
        case _:
            return matches_any(payload, path, [value])


def matches_any(payload: Sql, path: Path, values: Sequence[int | str]) -> Sql:
    """Say whether an element is one of the values; never when there are none."""
    strings, integers = _storable(values)
    if integers:
        among = [str(value) for value in integers]
        test = " || ".join(f"@ == {value}" for value in among)
        return sql(
            # The path can use an index on the payload and drops most rows before the exact test.
            has_element(payload, path, test),
            " AND EXISTS (SELECT FROM ",
            elements(payload, path),
            " WHERE element.v::text = ANY(",
            Argument(among),
            "::text[]))",
        )
    if not strings:
        return FALSE
    return has_element(payload, path, " || ".join(f"@ == {text(value)}" for value in strings))


def matches_except(payload: Sql, path: Path, values: Sequence[int | str]) -> Sql:
    """Say whether an element, other than null, is none of the values."""
    strings, integers = _storable(values)
    if integers:
        return sql(
            "EXISTS (SELECT FROM ",
            elements(payload, path),
            " WHERE jsonb_typeof(element.v) <> 'null' AND element.v::text <> ALL(",
            Argument([str(value) for value in integers]),
            "::text[]))",
        )
    other = "".join(f" && @ != {text(value)}" for value in strings)
    return has_element(
        payload,
        path,
        f'(@.type() == "string"{other}) || (@.type() != "string" && @.type() != "null")',
    )


def _storable(values: Sequence[int | str]) -> tuple[list[str], list[int]]:
    """Split by type and leave out strings with NUL, which jsonb cannot hold and so never equals."""
    strings = [value for value in values if isinstance(value, str) and _NUL not in value]
    return strings, [value for value in values if isinstance(value, int)]
