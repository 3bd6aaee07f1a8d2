"""The one place where the engine's exceptions become ours.

The binding raises plain ``Exception`` with the core's text, ``ValueError`` and ``TypeError`` for what it cannot
convert, and a ``BaseException`` of its own when the core panics.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import (
    MalformedBody,
    PointNotFound,
    StoreAnswered,
    VecferryError,
    WrongInput,
)

_UNKNOWN_POINT = re.compile(r"No point with id (\S+)")
_WRONG_KIND = re.compile(r"Wrong usage of (sparse|multi)")
_MALFORMED_PATH = "invalid JSON path "
_WRONG_INPUT = (
    "Vector dimension error",
    "Not existing vector name error",
    "No range index for",
    "No appropriate index for",
    "Validation failed",
    "Unable to infer type",
    "Payload type does not match",
    "Expected ",
    "The expression ",
)


def convert(reason: str) -> VecferryError:
    """Return our error for what the core said."""
    if unknown := _UNKNOWN_POINT.match(reason):
        return PointNotFound(f"No point with id {unknown[1]} found")
    if wrong := _WRONG_KIND.match(reason):
        return WrongInput(f"Conversion between {wrong[1]} and regular vectors failed")
    if reason.startswith(_MALFORMED_PATH):
        return MalformedBody(f"Invalid json path: '{reason.removeprefix(_MALFORMED_PATH)}'")
    if reason.startswith(_WRONG_INPUT):
        return WrongInput(reason)
    return internal(reason)


def internal(reason: str) -> StoreAnswered:
    """Return the 500 with which Qdrant answers for a failure of its own."""
    body = {"status": {"error": f"Service internal error: {reason}"}, "time": 0.0}
    return StoreAnswered(500, json.dumps(body).encode())


@contextmanager
def engine_errors() -> Iterator[None]:
    """Raise ours for everything the engine raises inside the block."""
    try:
        yield
    except VecferryError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        reason = str(error)
        if reason.startswith(_MALFORMED_PATH):
            raise convert(reason) from error
        raise MalformedBody(reason) from error
    except Exception as error:
        raise convert(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise internal(f"the engine panicked: {error}") from error
