"""``match``: value, any and except.

Integers match JSON integers only: not ``3.0``, not ``"3"``, not ``true``. jsonb compares numbers by value but keeps the
digits, so integers are compared by their text.

A payload index matches what it holds: an integer index takes ``3.0`` for 3, a UUID index every spelling of a UUID, and
``except`` finds only values of the index's kind. An index of another kind than the values changes nothing.
"""

import re
from collections.abc import Sequence
from uuid import UUID

from service.translate.jsonpath import elements, has_element, is_storable, some_element, text
from service.translate.paths import Path
from service.translate.payload_index import PayloadIndex
from service.translate.sql import FALSE, Argument, Sql, sql
from service.translate.whole_numbers import is_one_of, is_other

_HYPHENATED = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_UUID = re.compile(
    rf"[0-9a-f]{{32}}|{_HYPHENATED}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}", re.IGNORECASE
)


def matches_value(
    payload: Sql,
    path: Path,
    value: bool | int | str,  # noqa: FBT001 - a matched value
    index: PayloadIndex | None = None,
) -> Sql:
    """Say whether an element equals the value, type for type."""
    match value:
        case bool():
            return has_element(payload, path, f"@ == {'true' if value else 'false'}")
        case _:
            return matches_any(payload, path, [value], index)


def matches_any(
    payload: Sql, path: Path, values: Sequence[int | str], index: PayloadIndex | None = None
) -> Sql:
    """Say whether an element is one of the values; never when there are none."""
    strings, integers = _storable(values)
    if integers and index is not None and index.looks_up_integers:
        return has_element(payload, path, is_one_of(integers))
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
    if (found := uuids(index, strings)) is not None:
        return some_element(payload, path, _is_uuid(" = ANY(", found))
    return has_element(payload, path, " || ".join(f"@ == {text(value)}" for value in strings))


def matches_except(
    payload: Sql, path: Path, values: Sequence[int | str], index: PayloadIndex | None = None
) -> Sql:
    """Say whether an element, other than null, is none of the values."""
    strings, integers = _storable(values)
    if integers and index is not None and index.looks_up_integers:
        return has_element(payload, path, is_other(integers))
    if integers:
        other = sql("<> ALL(", Argument([str(value) for value in integers]), "::text[])")
        return some_element(
            payload, path, sql("jsonb_typeof(element.v) <> 'null' AND element.v::text ", other)
        )
    if (found := uuids(index, [value for value in values if isinstance(value, str)])) is not None:
        return some_element(
            payload,
            path,
            sql("vecferry.uuid(element.v) IS NOT NULL AND ", _is_uuid(" <> ALL(", found)),
        )
    other_string = '@.type() == "string"' + "".join(f" && @ != {text(value)}" for value in strings)
    if index is not None and index.kind == "keyword":
        return has_element(payload, path, other_string)
    return has_element(
        payload, path, f'({other_string}) || (@.type() != "string" && @.type() != "null")'
    )


def uuids(index: PayloadIndex | None, values: Sequence[int | str]) -> list[UUID] | None:
    """Return the values as an index of UUIDs understands them; nothing when it does not understand one."""
    if index is None or index.kind != "uuid":
        return None
    if not all(map(is_uuid, values)):
        return None
    return [UUID(str(value)) for value in values]


def is_uuid(value: object) -> bool:
    """Say whether a JSON value is a UUID in one of the spellings that Qdrant reads."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def _is_uuid(comparison: str, among: list[UUID]) -> Sql:
    return sql("vecferry.uuid(element.v)", comparison, Argument(among), "::uuid[])")


def _storable(values: Sequence[int | str]) -> tuple[list[str], list[int]]:
    """Split by type and leave out strings that jsonb cannot hold and so never equals."""
    strings = [value for value in values if isinstance(value, str) and is_storable(value)]
    return strings, [value for value in values if isinstance(value, int)]
