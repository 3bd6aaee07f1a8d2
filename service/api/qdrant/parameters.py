"""What stands in the URL of a request: the collection's name and the query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidBody, MalformedBody
from service.model.qdrant import ReadConsistencyType, WriteOrdering

MAX_NAME_LENGTH = 255
FORBIDDEN = '<>:"/\\|?*\0\x1f'

_QUERY = "query parameters"
_PATH = "path parameters"
_NAME = "name"
_TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters that make a difference here.

    The others are checked and then ignored: ``ordering`` and ``consistency`` are about replicas, of
    which there are none, and ``timeout`` is the store's own.
    """

    wait: bool = False


def check_collection_name(name: str) -> str:
    """Return the name. Raises ``InvalidBody`` for one that Qdrant would not take."""
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        reason = f"value {name} invalid, must be from 1 to {MAX_NAME_LENGTH} characters"
        raise InvalidBody(_NAME, reason, place=_PATH)
    bad = next((character for character in name if character in FORBIDDEN), None)
    if bad is not None:
        reason = f'collection name cannot contain "{bad}" char'
        raise InvalidBody(_NAME, reason, place=_PATH)
    return name


def parse_parameters(query: Mapping[str, str]) -> Parameters:
    """Return the parameters of a request; unknown ones are ignored.

    Raises ``MalformedBody`` for a wrong type and ``InvalidBody`` for a time-out below one second.
    """
    _one_of(query, "ordering", {ordering.value for ordering in WriteOrdering})
    if not query.get("consistency", "1").isdecimal():
        _one_of(query, "consistency", {level.value for level in ReadConsistencyType})
    _one_of(query, "wait", {"true", "false"})
    _check_timeout(query)
    return Parameters(wait=query.get("wait") == "true")


def _one_of(query: Mapping[str, str], name: str, allowed: set[str]) -> None:
    value = query.get(name)
    if value is not None and value not in allowed:
        expected = ", ".join(f"`{word}`" for word in sorted(allowed))
        reason = f"{name}: unknown value `{value}`, expected one of {expected}"
        raise MalformedBody(reason, place=_QUERY)


def _check_timeout(query: Mapping[str, str]) -> None:
    text = query.get(_TIMEOUT, "1")
    if not text.isdecimal():
        reason = f"timeout: invalid value `{text}`, expected seconds"
        raise MalformedBody(reason, place=_QUERY)
    if int(text) < 1:
        reason = f"value {text} invalid, must be 1 or larger"
        raise InvalidBody(_TIMEOUT, reason, place=_QUERY)
