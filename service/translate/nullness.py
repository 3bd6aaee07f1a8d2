"""``is_empty`` and ``is_null``."""

from service.translate.jsonpath import has_element, has_value
from service.translate.paths import Path
from service.translate.sql import Sql, negate


def is_empty(payload: Sql, path: Path) -> Sql:
    """Say whether nothing is there but null and ``[]`` (``[null]`` is something)."""
    return negate(
        has_value(payload, path, '@.type() != "null" && !(@.type() == "array" && @.size() == 0)')
    )


def is_null(payload: Sql, path: Path) -> Sql:
    """Say whether there is a null, or an array that holds one."""
    return has_element(payload, path, "@ == null")
