"""Conditions on the values at a payload path, in SQL.

The form is one *strict* jsonpath with everything inside a filter on the root:
``strict $ ? (exists(@."a" ? (exists(@[*] ? (exists(@."b" ? (test)))))))``. Strict, because lax mode would step through
arrays where Qdrant does not; inside a filter, because an absent key is an error outside of one and only "unknown" in
it: so ``@?`` with such a path is never NULL, and NOT around it is safe.
"""

import json
from typing import assert_never

from service.translate.paths import Each, Index, Key, Path
from service.translate.sql import Argument, Sql, sql


def has_value(payload: Sql, path: Path, test: str) -> Sql:
    """Say whether some value at the path passes ``test``, a jsonpath predicate on ``@``."""
    predicate = test
    for step in reversed(path):
        predicate = f"exists(@{_accessor(step)} ? ({predicate}))"
    return sql(payload, " @? ", Argument(f"strict $ ? ({predicate})"), "::jsonpath")


def has_element(payload: Sql, path: Path, test: str) -> Sql:
    """As :func:`has_value`, where an array stands for its elements (one level deep)."""
    array = '@.type() == "array"'
    return has_value(
        payload, path, f'(@.type() != "array" && ({test})) || ({array} && exists(@[*] ? ({test})))'
    )


def elements(payload: Sql, path: Path) -> Sql:
    """Return the FROM item ``element(v)``: the values at the path, an array as its elements.

    For tests that jsonpath cannot express; it reads the row's payload once per row, without an index.
    """
    return sql(
        "jsonb_path_query(",
        payload,
        ", ",
        Argument(selector(path)),
        "::jsonpath) AS found(v), jsonb_array_elements("
        "CASE jsonb_typeof(found.v) WHEN 'array' THEN found.v ELSE jsonb_build_array(found.v) END"
        ") AS element(v)",
    )


def some_element(payload: Sql, path: Path, test: Sql) -> Sql:
    """Say whether an element passes an SQL test of ``element.v``; a NULL is no."""
    return sql("EXISTS (SELECT FROM ", elements(payload, path), " WHERE ", test, ")")


def selector(path: Path) -> str:
    """Return the jsonpath that selects the values at the path, and nothing where it does not lead."""
    return "strict $" + "".join(f" ? ({_guard(step)}){_accessor(step)}" for step in path)


def is_storable(value: str) -> bool:
    """Say whether jsonb can hold a string: no NUL, no half of a surrogate pair."""
    return "\x00" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def text(value: str) -> str:
    """Quote a string for jsonpath."""
    return json.dumps(value, ensure_ascii=False)


def _accessor(step: Key | Index | Each) -> str:
    match step:
        case Key(name):
            return f".{text(name)}"
        case Index(at):
            return f"[{at}]"
        case Each():
            return "[*]"
        case _:
            assert_never(step)


def _guard(step: Key | Index | Each) -> str:
    match step:
        case Key():
            return f"exists(@{_accessor(step)})"
        case Index(at):
            return f'@.type() == "array" && @.size() > {at}'
        case Each():
            return '@.type() == "array"'
        case _:
            assert_never(step)
