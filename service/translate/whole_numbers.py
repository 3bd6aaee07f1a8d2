"""What an integer index holds: numbers without a fraction, ``3.0`` as well as ``3``, as signed 64-bit integers.

A number of 64 bits that is too large for them counts as the largest one, because Qdrant converts it through a double.
The tests are jsonpath predicates on ``@``.
"""

import math
from collections.abc import Iterable, Mapping

SMALLEST, LARGEST = -(2**63), 2**63 - 1
# The largest number whose double is 2^63, which becomes the largest integer.
_COUNTS_AS_LARGEST = 2**63 + 1024

WHOLE = f'@.type() == "number" && @.floor() == @ && @ >= {SMALLEST} && @ <= {_COUNTS_AS_LARGEST}'


def is_one_of(values: Iterable[int]) -> str:
    """Say whether it is one of the integers, of which there is at least one."""
    return " || ".join(_equals(value) for value in values)


def is_other(values: Iterable[int]) -> str:
    """Say whether it is a whole number and none of the integers."""
    return " && ".join([WHOLE, *(f"!({_equals(value)})" for value in values)])


def _equals(value: int) -> str:
    if value == LARGEST:
        return f"(@ >= {LARGEST} && @ <= {_COUNTS_AS_LARGEST})"
    return f"@ == {value}"


def within(bounds: Mapping[str, int]) -> str:
    """Say whether it is a whole number within integer bounds (``gt``, ``gte``, ``lt``, ``lte``)."""
    test = WHOLE
    for name, bound in bounds.items():
        match name:
            case "gt":
                test += f" && @ > {_COUNTS_AS_LARGEST if bound == LARGEST else bound}"
            case "gte":
                test += f" && @ >= {bound}"
            case "lt":
                test += f" && @ < {bound}"
            case _:
                test += f" && @ <= {_COUNTS_AS_LARGEST if bound == LARGEST else bound}"
    return test


def integer_bounds(bounds: Mapping[str, float]) -> dict[str, int]:
    """Return the bounds among integers that leave the same integers, no further out than 64 bits."""
    rounded = {
        name: math.ceil(bound) if name in {"gte", "lt"} else math.floor(bound)
        for name, bound in bounds.items()
    }
    return {name: min(max(bound, SMALLEST), LARGEST) for name, bound in rounded.items()}
