"""``is_empty`` and ``is_null``, as conditions of their own and as tests of a field.

The two differ where a path leads to several values: the condition looks at all of them together, the test of a field
at one at a time, so that ``is_empty: true`` and ``is_empty: false`` can both hold. A field with a payload index is
looked at as a whole in both.
"""

from service.translate.jsonpath import has_value
from service.translate.paths import Path
from service.translate.sql import Sql, negate, sql

_ANYTHING = '@.type() != ""'
_EMPTY = '@ == null || (@.type() == "array" && @.size() == 0)'
_NULL = '@ == null || (@.type() == "array" && exists(@[*] ? (@ == null)))'


def is_empty(payload: Sql, path: Path) -> Sql:
    """Say whether nothing is there but null and ``[]`` (``[null]`` is something)."""
    return negate(has_value(payload, path, f"!({_EMPTY})"))


def is_null(payload: Sql, path: Path) -> Sql:
    """Say whether there is a null, or an array that holds one."""
    return has_value(payload, path, _NULL)


def field_is_empty(payload: Sql, path: Path, *, wanted: bool, indexed: bool) -> Sql:
    """Say whether some value is (not) empty; no value at all is empty."""
    if wanted and indexed:
        return is_empty(payload, path)
    if wanted:
        return _nothing_or(payload, path, _EMPTY)
    return has_value(payload, path, f"!({_EMPTY})")


def field_is_null(payload: Sql, path: Path, *, wanted: bool, indexed: bool) -> Sql:
    """Say whether some value is (not) null; no value at all is not null."""
    if wanted:
        return is_null(payload, path)
    if indexed:
        return negate(is_null(payload, path))
    return _nothing_or(payload, path, f"!({_NULL})")


def has_nothing(payload: Sql, path: Path) -> Sql:
    """Say whether the path leads nowhere."""
    return negate(has_value(payload, path, _ANYTHING))


def _nothing_or(payload: Sql, path: Path, test: str) -> Sql:
    return sql(has_nothing(payload, path), " OR ", has_value(payload, path, test))
