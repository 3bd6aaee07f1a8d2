"""``nested``: a filter on the objects in an array, each by itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from service.translate.jsonpath import has_value, selector
from service.translate.paths import Each, Path, parse_path, spell
from service.translate.payload_index import payload_index
from service.translate.rows import Row
from service.translate.sql import Argument, Identifier, Sql, sql


def some_object(row: Row, path: Path, matches: Callable[[Row], Sql]) -> Sql:
    """Say whether an object among the elements of the arrays at the path matches; ``a`` means ``a[]``."""
    elements = path if isinstance(path[-1], Each) else (*path, Each())
    depth = row.depth + 1
    name = Identifier((f"object{depth}",))
    element = replace(row, payload=sql(name, ".v"), schema=_below(row, elements), depth=depth)
    return sql(
        has_value(row.payload, elements, '@.type() == "object"'),
        " AND EXISTS (SELECT FROM jsonb_path_query(",
        row.payload,
        ", ",
        Argument(selector(elements)),
        "::jsonpath) AS ",
        name,
        "(v) WHERE jsonb_typeof(",
        name,
        ".v) = 'object' AND (",
        matches(element),
        "))",
    )


def _below(row: Row, elements: Path) -> dict[str, Any]:
    """Return the text indexes of fields in the elements, by their paths from there; no others are asked inside."""
    found: dict[str, Any] = {}
    for key, given in row.schema.items():
        path = parse_path(key)
        inside = path[len(elements) :]
        if path[: len(elements)] == elements and inside and payload_index(given).kind == "text":
            found[spell(inside)] = given
    return found
