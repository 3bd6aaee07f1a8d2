"""``prefix`` and ``substring``: what a string begins with or holds, character by character."""

from service.translate.jsonpath import has_element, is_storable, text
from service.translate.paths import Path
from service.translate.sql import FALSE, Sql

_IS_STRING = '@.type() == "string"'


def starts_with(payload: Sql, path: Path, beginning: str) -> Sql:
    """Say whether an element is a string that starts so."""
    if not is_storable(beginning):
        return FALSE
    return has_element(payload, path, f"@ starts with {text(beginning)}")


def contains(payload: Sql, path: Path, part: str) -> Sql:
    """Say whether an element is a string with this in it."""
    if not is_storable(part):
        return FALSE
    # The flag takes the pattern as it stands.
    test = f'@ like_regex {text(part)} flag "q"' if part else _IS_STRING
    return has_element(payload, path, test)
