"""How an operator names collections: one by its name, or several by a shell pattern."""

from collections.abc import Collection
from fnmatch import fnmatchcase


def named(pattern: str, names: Collection[str]) -> list[str]:
    """Return the name that is exactly the pattern, else those that it matches, sorted: names may contain brackets."""
    if pattern in names:
        return [pattern]
    return sorted(name for name in names if fnmatchcase(name, pattern))
