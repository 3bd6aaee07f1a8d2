"""``range`` on numbers. Strings, booleans and nulls are in no range, every number is in an empty one."""

import math
from collections.abc import Mapping

from service.errors import Unsupported
from service.model.qdrant import Range
from service.translate.jsonpath import has_element
from service.translate.paths import Path
from service.translate.sql import Sql

_OPERATORS: Mapping[str, str] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def in_range(payload: Sql, path: Path, bounds: Range, where: str) -> Sql:
    """Say whether an element is a number within the bounds; ``where`` is the range's place in the request."""
    test = '@.type() == "number"'
    for name, operator in _OPERATORS.items():
        bound = getattr(bounds, name)
        if bound is None:
            continue
        if not math.isfinite(bound):
            raise Unsupported(f"{where}.{name}", "is not a finite number")
        test += f" && @ {operator} {bound!r}"
    return has_element(payload, path, test)
