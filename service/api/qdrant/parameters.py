"""What stands in the URL of a request: the collection's name and the query parameters."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.errors import InvalidBody, MalformedBody
from service.model.qdrant import ReadConsistencyType, WriteOrdering

MAX_NAME_LENGTH = 255
MAX_VECTOR_NAME_LENGTH = 200
FORBIDDEN = '<>:"/\\|?*\0\x1f'

READ = frozenset({"consistency", "timeout"})
"""The parameters of reads of points."""
WRITE = frozenset({"wait", "ordering", "timeout"})
"""The parameters of writes of points, indexes and named vectors."""
SCHEMA = frozenset({"timeout"})
"""The parameters of changes of collections and aliases."""
ALL = READ | WRITE

_QUERY = "query parameters"
_PATH = "path parameters"
_NAME = "collection_name"
_VECTOR_NAME = "vector_name"
_TIMEOUT = "timeout"
_MAX_U64 = 2**64 - 1
_LONGEST_TIMEOUT = 10 * 365 * 86_400
"""Seconds; what is longer is as good as none, and more than a clock can count to."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters that make a difference here; ``timeout`` is in seconds.

    The others are checked and then ignored: ``ordering`` and ``consistency`` are about replicas, of which there are
    none.
    """

    wait: bool = False
    timeout: int | None = None


_NONE = Parameters()


def check_collection_name(name: str, *, is_new: bool) -> str:
    """Return the name. Raises ``InvalidBody`` for one that Qdrant would not take.

    Some characters may not be in the name of a new collection, but older ones may have them.
    """
    if not 1 <= len(name) <= MAX_NAME_LENGTH:
        reason = f"value {name} invalid, must be from 1 to {MAX_NAME_LENGTH} characters"
        raise InvalidBody(_NAME, reason, place=_PATH)
    if is_new:
        _check_characters(name, _NAME, "collection name")
    return name


def check_vector_name(name: str) -> str:
    """Return the name of a vector. Raises ``InvalidBody`` for one that Qdrant would not take."""
    if len(name.encode()) > MAX_VECTOR_NAME_LENGTH:
        reason = f"vector name must be at most {MAX_VECTOR_NAME_LENGTH} bytes long"
        raise InvalidBody(_VECTOR_NAME, reason, place=_PATH)
    _check_characters(name, _VECTOR_NAME, "vector name")
    return name


def _check_characters(name: str, parameter: str, what: str) -> None:
    # Qdrant reports the first of its list, not of the name.
    bad = next((character for character in FORBIDDEN if character in name), None)
    if bad is not None:
        raise InvalidBody(parameter, f'{what} cannot contain "{bad}" char', place=_PATH)


def parse_parameters(query: Mapping[str, str], known: frozenset[str] = ALL) -> Parameters:
    """Return the parameters of a request; what is not ``known`` is ignored.

    Raises ``MalformedBody`` for a wrong type and ``InvalidBody`` for a value out of its range.
    """
    given = known.intersection(query) if query else None
    if not given:
        return _NONE
    if "ordering" in given:
        _check_ordering(query["ordering"])
    if "consistency" in given:
        _check_consistency(query["consistency"])
    wait = "wait" in given and _wait(query["wait"])
    timeout = _timeout(query[_TIMEOUT], known) if _TIMEOUT in given else None
    return Parameters(wait, timeout)


def _check_ordering(text: str) -> None:
    levels = [ordering.value for ordering in WriteOrdering]
    if text not in levels:
        expected = ", ".join(f"`{level}`" for level in levels)
        raise _malformed(f"unknown variant `{text}`, expected one of {expected}")


def _check_consistency(text: str) -> None:
    """A level, or a number of replicas; nothing is the default."""
    is_factor = text.isascii() and text.isdecimal() and int(text) > 0
    if text and not is_factor and text not in {level.value for level in ReadConsistencyType}:
        raise _malformed("failed to deserialize read consistency query parameter value")


def _wait(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _malformed("provided string was not `true` or `false`")
    return text == "true"


def _timeout(text: str, known: frozenset[str]) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > _MAX_U64:
        raise _malformed("invalid digit found in string")
    if int(text) < 1:
        if known != SCHEMA:
            # Reads and writes of points have a type without the zero there, the rest a range.
            raise _malformed("invalid value: integer `0`, expected a nonzero u64")
        raise InvalidBody(_TIMEOUT, f"value {text} invalid, must be 1 or larger", place=_QUERY)
    return min(int(text), _LONGEST_TIMEOUT)


def _malformed(reason: str) -> MalformedBody:
    return MalformedBody(reason, place=_QUERY)
