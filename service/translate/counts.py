"""``values_count``: how many values are at a path."""

import operator
from collections.abc import Callable, Mapping

from service.model.qdrant import ValuesCount
from service.translate.jsonpath import has_value
from service.translate.nullness import has_nothing
from service.translate.paths import Path
from service.translate.sql import Sql, join

_TESTS: Mapping[str, tuple[str, Callable[[int, int], bool]]] = {
    "gt": (">", operator.gt),
    "gte": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "lte": ("<=", operator.le),
}


def has_count(payload: Sql, path: Path, wanted: ValuesCount) -> Sql:
    """Say whether a value's count is within the bounds: null has 0, an array its length, anything else 1.

    Where nothing is, the count is 0.
    """
    bounds = [
        (sign, test, bound)
        for name, (sign, test) in _TESTS.items()
        if (bound := getattr(wanted, name)) is not None
    ]
    sizes = "".join(f" && @.size() {sign} {bound}" for sign, _, bound in bounds)
    tests = [f'(@.type() == "array"{sizes})']
    if all(test(1, bound) for _, test, bound in bounds):
        tests.append('(@.type() != "array" && @.type() != "null")')
    found: list[Sql] = []
    if all(test(0, bound) for _, test, bound in bounds):
        tests.append("@ == null")
        found.append(has_nothing(payload, path))
    found.append(has_value(payload, path, " || ".join(tests)))
    return join(" OR ", found)
